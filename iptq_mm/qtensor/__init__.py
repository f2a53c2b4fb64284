"""Tensors that know their scale, under unmodified model code."""

from . import rules  # noqa: F401  (fills the rule table)
from .errors import UnsupportedOperationError
from .rules.table import RULES, rule
from .tensor import QTensor
from .weight_qparams import WeightQParams

__all__ = ['RULES', 'QTensor', 'UnsupportedOperationError', 'WeightQParams', 'rule']
