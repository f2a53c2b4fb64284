"""Roundings: how weights become integers, one way a file."""

from .base import Rounded, Rounding
from .learned import LearnedRounding
from .nearest import NearestRounding
from .second_order import SecondOrderRounding

__all__ = [
    'LearnedRounding',
    'NearestRounding',
    'Rounded',
    'Rounding',
    'SecondOrderRounding',
]
