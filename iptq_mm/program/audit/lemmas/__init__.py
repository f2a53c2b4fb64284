"""Facts that intervals alone do not see: of operands that depend on each other.

Each lemma is tried at every call of an operation, checks on the graph and on the
constants at hand that it applies, and says what the result lies in. What it says
counts besides the interval of the operands' intervals, never in place of a check.
"""

from . import numbers, rows
from .base import LEMMAS, Lemma

__all__ = ['LEMMAS', 'Lemma', 'numbers', 'rows']
