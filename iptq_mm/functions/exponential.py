"""Integer exponentials ``2**-(z + t)`` of base-2 exponents in fixed point.

The published functions differ in how they approximate ``2**-t``, ``t`` the fraction of
the exponent; its integer part ``z`` is a right shift in each of them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .exponents import FRACTION_BITS

_ONE = 1 << FRACTION_BITS
#: What :func:`chord_exp` gives for the exponent 0.
CHORD_ONE = 2 * _ONE

# I-BERT's exp(p) ~ a*p*p + b*p + 1 with the digits of its code, for p = -t*ln2
# and divided by a*ln2**2: (t - _VERTEX)**2 + _FLOOR, t with 14 bits.
_T_BITS = 14
_A, _B, _LN2 = 0.35815147, 0.96963238, 0.6931471805599453
_VERTEX = round(_B / (2 * _A * _LN2) * 2**_T_BITS)
_FLOOR = round((1 / _A - (_B / (2 * _A)) ** 2) / (_LN2 * _LN2) * 4**_T_BITS)
#: What :func:`quadratic_mantissa` gives for the exponent 0; below ``2**31``.
QUADRATIC_ONE = _VERTEX * _VERTEX + _FLOOR


def quadratic_mantissa(exponents: Tensor) -> Tensor:
    """``2**-t`` by I-BERT's polynomial (section 3.5, equation 13).

    Args:
        exponents: From :func:`~.exponents.to_exponent_`, int32; only the fraction ``t``
            counts.

    Returns:
        int32 where ``QUADRATIC_ONE`` stands for 1.
    """
    t = exponents >> (FRACTION_BITS - _T_BITS)
    torch.bitwise_and(
        t, (1 << _T_BITS) - 1, out=t
    )  # ``&=`` fails under a torch 2.1 mode
    t -= _VERTEX
    t *= t
    t += _FLOOR
    return t


def quadratic_exp(exponents: Tensor) -> Tensor:
    """i-exp of I-BERT (Algorithm 3); int32, ``QUADRATIC_ONE`` stands for 1."""
    e = quadratic_mantissa(exponents)
    e >>= exponents >> FRACTION_BITS
    return e


def chord_exp(exponents: Tensor) -> Tensor:
    """``2**-(z + t)`` with ``1 - t/2`` for ``2**-t``: ShiftExp of I-ViT.

    Returns:
        int32 where ``CHORD_ONE`` stands for 1.
    """
    e = exponents & (_ONE - 1)
    e.neg_()
    e += CHORD_ONE
    e >>= exponents >> FRACTION_BITS
    return e


def tangent_exp_(exponents: Tensor, nearest: bool) -> Tensor:
    """``2**-(z + t)`` with ``1 + r*11/16`` for ``2**r``, ``r = -t``: IPTQ-ViT's.

    11/16 is the sum of three shifts, in the place of ln2. The tangent is good around 0,
    hence the split at the *nearest* integer, ``-1/2 <= r <= 1/2``; split at the floor,
    ``-1 < r <= 0``.

    Args:
        exponents: From :func:`~.exponents.to_exponent_` with a limit below
            ``MAX_EXPONENT``, int32; overwritten.
        nearest: Whether to split at the nearest integer.

    Returns:
        int32 where ``2**FRACTION_BITS`` stands for 1.
    """
    half = _ONE >> 1 if nearest else 0
    exponents += half
    whole = exponents >> FRACTION_BITS
    torch.bitwise_and(exponents, _ONE - 1, out=exponents)
    exponents -= half
    exponents *= -11  # (r >> 1) + (r >> 3) + (r >> 4), rounded once
    exponents >>= 4
    exponents += _ONE
    exponents >>= whole
    return exponents
