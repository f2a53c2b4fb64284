"""Integer approximations of GELU, Softmax and LayerNorm, one a file."""

from . import gelu, layernorm, softmax  # noqa: F401  (fills the registry)
from .base import (
    Constants,
    FunctionSite,
    GELUFunction,
    IntegerFunction,
    LayerNormFunction,
    OperationCount,
    SoftmaxFunction,
    function_name,
)

__all__ = [
    'Constants',
    'FunctionSite',
    'GELUFunction',
    'IntegerFunction',
    'LayerNormFunction',
    'OperationCount',
    'SoftmaxFunction',
    'function_name',
]
