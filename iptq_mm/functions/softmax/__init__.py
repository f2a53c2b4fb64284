"""Integer approximations of Softmax."""

from .bit_softmax import BitSoftmax
from .di_clipped_softmax import DIClippedSoftmax
from .i_softmax import ISoftmax
from .log_int_softmax import LogIntSoftmax
from .shiftmax import Shiftmax
from .table_softmax import TableSoftmax

__all__ = [
    'BitSoftmax',
    'DIClippedSoftmax',
    'ISoftmax',
    'LogIntSoftmax',
    'Shiftmax',
    'TableSoftmax',
]
