"""Dyadic requantization: multiplication by ``m / 2**s`` with integers only.

Source: HAWQ-V3 and I-BERT (``batch_frexp``, ``fixedpoint_mul``). Theirs simulates it in
float64, this one computes in 64-bit integers.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Dyadic(NamedTuple):
    """The number ``multiplier / 2**shift``: ints, or int64 tensors (one per channel).

    Attributes:
        multiplier: Signed integer below ``2**31`` in magnitude.
        shift: Right shift, 1 to 62.
    """

    multiplier: int | Tensor
    shift: int | Tensor


def dyadic(ratio: float | Tensor, input_bits: int = 32, max_shift: int = 62) -> Dyadic:
    """The dyadic number nearest to ``ratio``.

    Only exactly defined float64 operations are used, so that every machine
    makes the same constants. Example::

        >>> multiplier, shift = dyadic(0.3)
        >>> multiplier, shift
        (1288490189, 32)
        >>> multiplier / 2**shift
        0.30000000004656613
        >>> dyadic(0.3, input_bits=40)  # of 64 bits, 23 are left to the multiplier
        Dyadic(multiplier=5033165, shift=24)

    Args:
        ratio: A real number, or a float64 tensor of them (one per channel).
        input_bits: Bits, sign included, of the integers that will be
            multiplied; the product stays below ``2**63``.
        max_shift: Largest shift, at most 62.

    Returns:
        Ints for a number, int64 tensors for a tensor.

    Raises:
        ValueError: If a ratio is not finite.
        OverflowError: If the ratio is so large that a product of
            ``input_bits`` bits would not fit 64 bits.
    """
    if isinstance(ratio, Tensor):
        pairs = [dyadic(r, input_bits, max_shift) for r in ratio.flatten().tolist()]
        return Dyadic(
            torch.tensor([p[0] for p in pairs], dtype=torch.int64).view(ratio.shape),
            torch.tensor([p[1] for p in pairs], dtype=torch.int64).view(ratio.shape),
        )
    mantissa_bits = min(31, 63 - input_bits)
    if not math.isfinite(ratio):
        raise ValueError(
            f'a ratio of scales is finite, not {ratio}: a scale is 0, infinite or NaN'
        )
    mantissa, exponent = math.frexp(ratio)
    shift = mantissa_bits - exponent
    if shift < 1:
        raise OverflowError(
            f'requantizing {input_bits}-bit integers by {ratio:.3g} overflows '
            '64 bits: the output scale is far too small for this input'
        )
    # For a tiny ratio, the largest shift limits the bits of the multiplier.
    spare = max(0, shift - max_shift)
    multiplier = round(mantissa * 2.0 ** (mantissa_bits - spare))
    if multiplier >= 2**31:  # the mantissa rounded up to 1
        multiplier, shift = multiplier // 2, shift - 1
    return Dyadic(multiplier, min(shift, max_shift))


def requantize(q: Tensor, factor: Dyadic) -> Tensor:
    """``round(q * multiplier / 2**shift)``, halves up.

    Example::

        >>> q = torch.tensor([-6, 6, 10, 100], dtype=torch.int32)
        >>> requantize(q, dyadic(0.25))  # -1.5, 1.5, 2.5, 25
        tensor([-1,  2,  3, 25])

    Args:
        q: Integers, any shape; a factor per channel broadcasts to it.
        factor: From :func:`dyadic`, made for the bits of ``q``.

    Returns:
        int64, not saturated.
    """
    multiplier, shift = factor
    half = (
        1 << (shift - 1)
        if isinstance(shift, int)
        else torch.ones_like(shift) << (shift - 1)
    )
    return (q.long() * multiplier + half) >> shift
