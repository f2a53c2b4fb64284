"""Codes: which integers the values of few bits may have, one way a file."""

from .base import Codes
from .levels import OptimalLevels
from .twin_ranges import TwinRanges

__all__ = ['Codes', 'OptimalLevels', 'TwinRanges']
