"""Integer approximations of any elementwise function, by tables."""

from .interpolated_unary import InterpolatedUnary
from .table_unary import TableUnary

__all__ = ['InterpolatedUnary', 'TableUnary']
