"""Integer approximations of GELU, Softmax, LayerNorm and other functions."""

from . import gelu, layernorm, softmax, unary  # noqa: F401  (fills the registry)
from .base import (
    Constants,
    FunctionSite,
    GELUFunction,
    IntegerFunction,
    LayerNormFunction,
    OperationCount,
    SoftmaxFunction,
    UnaryFunction,
    function_name,
)
from .curves import CURVES

__all__ = [
    'CURVES',
    'Constants',
    'FunctionSite',
    'GELUFunction',
    'IntegerFunction',
    'LayerNormFunction',
    'OperationCount',
    'SoftmaxFunction',
    'UnaryFunction',
    'function_name',
]
