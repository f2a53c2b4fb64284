"""Differences to the largest number of a row, as numbers of halvings.

``exp(-d*S) = 2**-(z + t)`` with a whole number ``z`` of halvings and a fraction
``t``. The published functions divide by ``floor(ln2/S)`` for it, a small integer
when inputs have 8 bits: a temperature error of 20 to 80 %. Here it is one
multiplication by a fixed-point constant, which has neither this error nor a
division for each element. It does what a left shift of the input would
("pre-shift"), and better.

Everything stays in 32 bits: ``d * multiplier <= 2 * MAX_HALVINGS * 2**25 < 2**31``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..intmath import QParams
from .base import Constants
from .fixed_point import ceil_log2, ints, shift_

#: Fraction bits of the number of halvings.
FRACTION_BITS = 25
#: Most halvings that 32 bits hold; an exponential is 0 from there on.
MAX_HALVINGS = 31
#: What I-ViT's ``x + (x >> 1) - (x >> 4)`` multiplies by, for log2(e) = 1.4427.
SHIFT_LOG2E = 1.4375
LOG2E = 1.4426950408889634

_ONE = 1 << FRACTION_BITS
# Finer steps than this only cost bits of the multiplier.
_FINEST_STEP = 2.0**-14


def prepare_split(
    x: QParams, halvings_per_unit: float = LOG2E, limit: int = MAX_HALVINGS
) -> Constants:
    """Constants of :func:`split_`.

    Args:
        x: Quantizer of the numbers whose differences are split.
        halvings_per_unit: Halvings for a real difference of 1; log2(e) for the
            exponential.
        limit: Halvings from which on the exponential is 0, at most
            ``MAX_HALVINGS``.

    Raises:
        ValueError: If ``limit`` is out of range or ``x`` spans more than
            ``2**31`` steps.
    """
    if not 1 <= limit <= MAX_HALVINGS:
        raise ValueError(f'from 1 to {MAX_HALVINGS} halvings, not {limit}')
    span = x.qmax - x.qmin
    if span > 2**31:
        raise ValueError(f'the input spans {span} steps, more than 2**31')
    down = max(0, min(ceil_log2(_FINEST_STEP / x.scale), 31))
    step = x.scale * 2.0**down * halvings_per_unit
    # A step of more than the limit gives 0 anyhow; so limited it fits 32 bits.
    multiplier = max(1, round(min(step, limit) * _ONE))
    clamp = -(-limit * _ONE // multiplier)
    # Beyond MAX_HALVINGS a 32-bit shift is undefined: coarse steps overshoot.
    overshoots = clamp * multiplier >= (MAX_HALVINGS + 1) * _ONE - _ONE // 2
    return {
        'split_wide': int(span >= 2**31),
        'split_clamp': min(clamp << down, span, 2**31 - 1),
        'split_down': down,
        'split_multiplier': multiplier,
        'split_cap': limit * _ONE if overshoots else 0,
    }


def differences(q: Tensor, wide: int) -> Tensor:
    """``max - q`` along the last dimension: a new int32 tensor, int64 if wide."""
    return q.amax(-1, keepdim=True).to(torch.int64 if wide else torch.int32) - q


def split_(d: Tensor, constants: Constants) -> Tensor:
    """Halvings of each difference, in place where ``d`` is int32.

    Args:
        d: Non-negative integers, any shape; a temporary of the caller.
        constants: From :func:`prepare_split`.

    Returns:
        int32 with ``FRACTION_BITS`` fraction bits.
    """
    clamp, down, multiplier, cap = ints(
        constants, 'split_clamp', 'split_down', 'split_multiplier', 'split_cap'
    )
    d = shift_(d.clamp_max_(clamp), -down).to(torch.int32)
    d *= multiplier
    return d.clamp_max_(cap) if cap else d


def row_halvings(q: Tensor, constants: Constants) -> Tensor:
    """:func:`split_` of the distances to the largest number of each row."""
    (wide,) = ints(constants, 'split_wide')
    return split_(differences(q, wide), constants)
