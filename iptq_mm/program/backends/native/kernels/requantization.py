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
        Unsupported: If the base does not fit into the offset.
    """
    offset = (1 << (shift - 1) if shift else 0) - (storage.base << shift)
    if abs(offset) >= 2**62:
        raise Unsupported('an offset of more than 62 bits')
    return {
        'left': left,
        'right': right,
        'offset': offset,
        'shift': shift,
        'low': low - storage.base,
        'high': high - storage.base,
        'narrow': is_narrow(bound * (abs(left) + abs(right)), offset, shift),
    }


def is_narrow(product: int, offset: int, shift: int) -> bool:
    """Whether 32 bits hold ``(+-product + offset) >> shift``; 0 says nothing."""
    return product > 0 and (product + abs(offset) >> shift) < INT32 - 1


def requantization(factor: Dyadic, value: Value, base: int, bound: int = 0) -> dict:
    """Fields of a ``Requantization`` that makes codes.

    Args:
        factor: What to multiply by.
        value: What the result is.
        base: What codes are less than it.
        bound: Largest magnitude of what is multiplied; 0: not known.

    Raises:
        Unsupported: If the base does not fit into the offset.
    """
    multiplier, shift = int(factor.multiplier), int(factor.shift)
    offset = (1 << (shift - 1)) - (base << shift)
    if abs(offset) >= 2**62:
        raise Unsupported('an offset of more than 62 bits')
    return {
        'multiplier': multiplier,
        'offset': offset,
        'shift': shift,
        'low': value.low - base,
        'high': value.high - base,
        'narrow': is_narrow(bound * abs(multiplier), offset, shift),
    }
