"""Integer approximations of Softmax."""

from .bit_softmax import BitSoftmax
from .i_softmax import ISoftmax
from .log_int_softmax import LogIntSoftmax
from .shiftmax import Shiftmax
from .table_softmax import TableSoftmax

__all__ = ['BitSoftmax', 'ISoftmax', 'LogIntSoftmax', 'Shiftmax', 'TableSoftmax']
