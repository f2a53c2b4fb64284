"""Roundings: how weights become integers, one way a file."""

from .base import Rounding
from .nearest import NearestRounding

__all__ = ['NearestRounding', 'Rounding']
