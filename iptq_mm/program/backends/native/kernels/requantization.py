"""Constants of requantizations as commands have them."""

from __future__ import annotations

from .....intmath.dyadic import Dyadic
from .....native.storage import Storage
from ....ir.graph import Value
from ..context import INT32, Unsupported


def sum_fields(
    left: int,
    right: int,
    shift: int,
    low: int,
    high: int,
    storage: Storage,
    bound: int = 0,
) -> dict:
    """Fields of a ``Sum`` that makes codes.

    Raises:
        Unsupported: If the zero point does not fit into the offset.
    """
    offset = (1 << (shift - 1) if shift else 0) + (storage.zero_point << shift)
    if abs(offset) >= 2**62:
        raise Unsupported('an offset of more than 62 bits')
    return {
        'left': left,
        'right': right,
        'offset': offset,
        'shift': shift,
        'low': low + storage.zero_point,
        'high': high + storage.zero_point,
        'fits_int32': is_narrow(bound * (abs(left) + abs(right)), offset, shift),
    }


def is_narrow(product: int, offset: int, shift: int) -> bool:
    """Whether 32 bits hold ``(+-product + offset) >> shift``; 0 says nothing."""
    return product > 0 and (product + abs(offset) >> shift) < INT32 - 1


def requantization(
    factor: Dyadic, value: Value, zero_point: int, bound: int = 0
) -> dict:
    """Fields of a ``Requantization`` that makes codes.

    Args:
        factor: What to multiply by.
        value: What the result is.
        zero_point: Of the result: a code is the result plus it.
        bound: Largest magnitude of what is multiplied; 0: not known.

    Raises:
        Unsupported: If the zero point does not fit into the offset.
    """
    multiplier, shift = int(factor.multiplier), int(factor.shift)
    offset = (1 << (shift - 1)) + (zero_point << shift)
    if abs(offset) >= 2**62:
        raise Unsupported('an offset of more than 62 bits')
    return {
        'multiplier': multiplier,
        'offset': offset,
        'shift': shift,
        'low': value.low + zero_point,
        'high': value.high + zero_point,
        'fits_int32': is_narrow(bound * abs(multiplier), offset, shift),
    }
