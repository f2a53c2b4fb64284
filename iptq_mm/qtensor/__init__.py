"""Tensors that know their scale, under unmodified model code."""

from . import compute_rules, shape_rules  # noqa: F401  (fills the table)
from .errors import UnsupportedOperationError
from .rules import RULES, rule
from .tensor import QTensor, WeightQParams

__all__ = ['RULES', 'QTensor', 'UnsupportedOperationError', 'WeightQParams', 'rule']
