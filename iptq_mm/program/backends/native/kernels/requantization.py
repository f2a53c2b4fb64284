"""Requantizations: their constants in the form of the commands."""

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

    Args:
        left: Factor of the first operand.
        right: Factor of the second operand.
        shift: Shift of the sum.
        low: Smallest result.
        high: Largest result.
        storage: Storage of the result.
        bound: Largest magnitude of an operand; 0: unknown.

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
        'fits_int32': fits_int32(bound * (abs(left) + abs(right)), offset, shift),
    }


def fits_int32(product: int, offset: int, shift: int) -> bool:
    """Whether 32 bits hold ``(+-product + offset) >> shift``; unknown where it is 0."""
    return product > 0 and (product + abs(offset) >> shift) < INT32 - 1


def requantization(
    factor: Dyadic, value: Value, zero_point: int, bound: int = 0
) -> dict:
    """Fields of a ``Requantization`` that makes codes.

    Args:
        factor: What to multiply by.
        value: The result.
        zero_point: Zero point of the result: a code is the result plus it.
        bound: Largest magnitude of an integer that is multiplied; 0: unknown.

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
        'fits_int32': fits_int32(bound * abs(multiplier), offset, shift),
    }
