"""Integer approximations of elementwise functions: any by tables, SiLU by shifts."""

from .di_swiglu import DISwiGLU
from .interpolated_unary import InterpolatedUnary
from .table_unary import TableUnary

__all__ = ['DISwiGLU', 'InterpolatedUnary', 'TableUnary']
