"""Passes backward from the outputs of a region, and the memory that they take."""

from .differentiating import Differentiating
from .saved import Saved

__all__ = ['Differentiating', 'Saved']
