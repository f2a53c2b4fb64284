"""Tensors that know their scale, under unmodified model code."""

from . import (  # noqa: F401  (they fill the table)
    arithmetic_rules,
    compute_rules,
    layer_rules,
    relu_rules,
    resampling_rules,
    shape_rules,
)
from .errors import UnsupportedOperationError
from .rules import RULES, rule
from .tensor import QTensor, WeightQParams

__all__ = ['RULES', 'QTensor', 'UnsupportedOperationError', 'WeightQParams', 'rule']
