"""Base-2 exponents in fixed point, the first step of every exponential of a Softmax.

``exp(-d*S) = 2**-e`` where ``d >= 0`` is an integer difference, ``S`` its scale and
``e = d * S * log2(e)`` a base-2 exponent. Its integer part will be a right shift; its
fraction is left to an approximation of ``2**-t``, see :mod:`.exponential`.

The published functions divide by ``floor(ln2/S)`` instead, a small integer when inputs
have 8 bits: a temperature error of 20 to 80 %. Here the exponent is one multiplication
by a fixed-point constant, which has neither this error nor a division per element. It
does what a left shift of the input would do ("pre-shift"), and more exactly.

Everything stays in 32 bits: ``d * multiplier <= 2 * MAX_EXPONENT * 2**25 < 2**31``.

The names of the constants (``split_clamp`` and so on) are those of saved plans.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..intmath import QParams
from .base import Constants
from .fixed_point import ceil_log2, ints, shift_

#: Fraction bits of an exponent.
FRACTION_BITS = 25
#: Largest exponent that 32 bits hold; its exponential is 0.
MAX_EXPONENT = 31
#: What I-ViT's ``x + (x >> 1) - (x >> 4)`` multiplies by, for log2(e) = 1.4427.
SHIFT_LOG2E = 1.4375
LOG2E = 1.4426950408889634

_ONE = 1 << FRACTION_BITS
# A finer scale than this would only cost bits of the multiplier.
_FINEST_SCALE = 2.0**-14


def prepare_exponent(
    x: QParams, per_unit: float = LOG2E, limit: int = MAX_EXPONENT
) -> Constants:
    """Constants of :func:`to_exponent_`.

    Args:
        x: Quantizer of the numbers whose differences become exponents.
        per_unit: Exponent of a real difference of 1; log2(e) for the exponential.
        limit: Largest exponent, at most ``MAX_EXPONENT``; larger ones are clamped.

    Raises:
        ValueError: If ``limit`` is out of range or ``x`` spans more than
            ``2**31`` integers.
    """
    if not 1 <= limit <= MAX_EXPONENT:
        raise ValueError(
            f'the largest base-2 exponent, n, is from 1 to {MAX_EXPONENT}, not {limit}'
        )
    span = x.qmax - x.qmin
    if span > 2**31:
        raise ValueError(f'the input spans {span} integers, more than 2**31')
    down = max(0, min(ceil_log2(_FINEST_SCALE / x.scale), 31))
    step = x.scale * 2.0**down * per_unit
    # A step above the limit gives 0 in any case; with the limit it fits 32 bits.
    multiplier = max(1, round(min(step, limit) * _ONE))
    clamp = -(-limit * _ONE // multiplier)
    # A 32-bit shift by more than MAX_EXPONENT is undefined: coarse steps overshoot.
    overshoots = clamp * multiplier >= (MAX_EXPONENT + 1) * _ONE - _ONE // 2
    return {
        'split_wide': int(span >= 2**31),
        'split_clamp': min(clamp << down, span, 2**31 - 1),
        'split_down': down,
        'split_multiplier': multiplier,
        'split_cap': limit * _ONE if overshoots else 0,
    }


def differences(q: Tensor, wide: int) -> Tensor:
    """``max - q`` along the last dimension: a new int32 tensor, int64 if ``wide``."""
    return q.amax(-1, keepdim=True).to(torch.int64 if wide else torch.int32) - q


def to_exponent_(d: Tensor, constants: Constants) -> Tensor:
    """The base-2 exponent of each difference, in place where ``d`` is int32.

    Args:
        d: Non-negative integers, any shape; overwritten.
        constants: From :func:`prepare_exponent`.

    Returns:
        int32 with ``FRACTION_BITS`` fraction bits: ``2**FRACTION_BITS`` stands for 1.
    """
    clamp, down, multiplier, cap = ints(
        constants, 'split_clamp', 'split_down', 'split_multiplier', 'split_cap'
    )
    d = shift_(d.clamp_max_(clamp), -down).to(torch.int32)
    d *= multiplier
    return d.clamp_max_(cap) if cap else d


def row_exponents(q: Tensor, constants: Constants) -> Tensor:
    """The exponents of the differences to the largest number of each row.

    Args:
        q: Integers; rows are along the last dimension.
        constants: From :func:`prepare_exponent`.

    Returns:
        As :func:`to_exponent_`, the shape of ``q``.
    """
    (wide,) = ints(constants, 'split_wide')
    return to_exponent_(differences(q, wide), constants)
