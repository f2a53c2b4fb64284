"""Integer approximations of GELU."""

from .i_gelu import IGELU
from .interpolated_gelu import InterpolatedGELU
from .long_table_gelu import LongTableGELU
from .poly_gelu import PolyGELU
from .shift_gelu import ShiftGELU
from .table_gelu import TableGELU

__all__ = [
    'IGELU',
    'InterpolatedGELU',
    'LongTableGELU',
    'PolyGELU',
    'ShiftGELU',
    'TableGELU',
]
