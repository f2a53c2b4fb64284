"""Fixed-point helpers shared by the integer functions.

The functions that make constants (:func:`floor_log2`, :func:`dyadic_with_offset`, ...)
use only exactly defined float64 operations, so that every machine makes the same ones.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..intmath import Dyadic, dyadic
from .base import Constants, FunctionSite, IntegerFunction

#: An addend is at most ``2**ADDEND_BITS``, so that a sum of two fits 64 bits.
ADDEND_BITS = 61


def floor_log2(value: float) -> int:
    """``floor(log2(value))`` of a positive number, exactly."""
    return math.frexp(value)[1] - 1


def ceil_log2(value: float) -> int:
    """``ceil(log2(value))`` of a positive number, exactly."""
    mantissa, exponent = math.frexp(value)
    return exponent - 1 if mantissa == 0.5 else exponent


def saturate(value: float, bits: int) -> int:
    """The integer nearest to ``value``, clamped to ``-2**bits .. 2**bits``."""
    bound = 1 << bits
    return bound if value >= bound else -bound if value <= -bound else round(value)


def floor_int(value: float, bits: int) -> int:
    """``floor(value)``, clamped to ``-2**bits .. 2**bits``."""
    bound = 1 << bits
    return bound if value >= bound else -bound if value <= -bound else math.floor(value)


def ints(constants: Constants, *names: str) -> tuple[int, ...]:
    """Constants that are ints, by name.

    Raises:
        TypeError: If one of them is a tensor.
    """
    values = []
    for name in names:
        value = constants[name]
        if not isinstance(value, int):
            raise TypeError(f'the constant {name!r} is not an int')
        values.append(value)
    return tuple(values)


def tensor(constants: Constants, name: str) -> Tensor:
    """A constant that is a tensor, by name.

    Raises:
        TypeError: If it is an int.
    """
    value = constants[name]
    if isinstance(value, int):
        raise TypeError(f'the constant {name!r} is not a tensor')
    return value


def prepare_dyadic(name: str, ratio: float, input_bits: int = 32) -> Constants:
    """Constants of :func:`dyadic_of`.

    Args:
        name: First part of the constants' names.
        ratio: As in :func:`~iptq_mm.intmath.dyadic`, which may raise.
        input_bits: As in :func:`~iptq_mm.intmath.dyadic`.
    """
    multiplier, shift = dyadic(ratio, input_bits)
    return {f'{name}_multiplier': multiplier, f'{name}_shift': shift}


def dyadic_of(constants: Constants, name: str) -> Dyadic:
    """The dyadic number that :func:`prepare_dyadic` put into the constants."""
    return Dyadic(*ints(constants, f'{name}_multiplier', f'{name}_shift'))


def check_input(function: IntegerFunction, site: FunctionSite) -> None:
    """Refuse inputs with more bits than the function's ``max_input_bits``.

    Raises:
        ValueError: If ``site.x`` has more bits.
    """
    if site.x.bits > function.max_input_bits:
        raise ValueError(
            f'{type(function).__name__} takes inputs of at most '
            f'{function.max_input_bits} bits, not {site.x.bits}'
        )


def shift_(q: Tensor, amount: int) -> Tensor:
    """``round(q * 2**amount)`` in place, halves up; a right shift cannot overflow.

    Args:
        q: Integers, any shape; overwritten.
        amount: Left shift; negative for a right shift.
    """
    if amount > 0:
        q <<= amount
    elif amount < 0:
        # Adding the half after all but one of the shifts cannot overflow.
        q >>= min(-amount, q.element_size() * 8 - 1) - 1
        q += 1
        q >>= 1
    return q


def dyadic_with_offset(
    ratios: Tensor, offsets: Tensor, input_bits: int = 32
) -> tuple[Tensor, Tensor, int]:
    """Constants of ``round(q * ratio + offset)`` by channel, with one common shift.

    A common shift vectorizes, unlike one shift per channel. It makes the multipliers of
    channels with small ratios less precise, by far less than one output integer.

    Args:
        ratios: Input scale over output scale, float64, shape (C,).
        offsets: Addends in units of the output scale, float64, shape (C,).
        input_bits: Bits, sign included, of ``q``.

    Returns:
        Multiplier and addend (the rounding half included), int64, shape (C,),
        and the shift: the result is ``(q * multiplier + addend) >> shift``.

    Raises:
        OverflowError: If the products do not fit 64 bits.
        ValueError: If a ratio is not finite.
    """
    shift = int(dyadic(float(ratios.abs().max()), input_bits).shift)
    largest = float(offsets.abs().max())
    if largest > 0:
        shift = min(shift, ADDEND_BITS - 1 - floor_log2(largest))
    if shift < 1:
        raise OverflowError(
            f'an offset of {largest:.3g} output scales overflows 64 bits: the '
            'output scale is far too small for it'
        )
    multiplier = torch.round(ratios * 2.0**shift).long()
    addend = torch.round(offsets * 2.0**shift).long() + (1 << (shift - 1))
    return multiplier, addend, shift
