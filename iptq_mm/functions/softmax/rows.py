"""From exponentials to probabilities at the output's scale."""

from __future__ import annotations

from torch import Tensor

from ...intmath import QParams, dyadic, requantize
from ..base import Constants
from ..fixed_point import dyadic_of, ints, prepare_dyadic


def prepare_quotient(out: QParams) -> Constants:
    """Constants of :func:`quotient`: ``1 / out.scale`` as a 61-bit dyadic.

    Raises:
        OverflowError: If the output scale is below about ``2**-30``.
    """
    multiplier, shift = dyadic(1 / out.scale, input_bits=32)
    assert isinstance(multiplier, int) and isinstance(shift, int)
    more = min(30, 62 - shift)
    return {'quotient_one': multiplier << more, 'quotient_shift': shift + more}


def quotient(e: Tensor, constants: Constants) -> Tensor:
    """``round(e / sum(e) / out.scale)`` with one reciprocal a row.

    No ``e`` is larger than the sum, hence ``e * reciprocal <= one < 2**62``: the
    reciprocal includes the output scale and still leaves it all 64 bits of precision.

    Args:
        e: Non-negative integers below ``2**45``, int32 or int64; the largest of
            each row is at least 1.
        constants: From :func:`prepare_quotient`.

    Returns:
        int64 at ``out.scale``.
    """
    one, shift = ints(constants, 'quotient_one', 'quotient_shift')
    total = e.sum(-1, keepdim=True)
    reciprocal = ((total >> 1) + one) // total
    p = e * reciprocal
    p += 1 << (shift - 1)
    p >>= shift
    return p


def prepare_codes(out: QParams, bits: int) -> Constants:
    """Constants of :func:`from_codes`, for codes with the scale ``2**-bits``."""
    return prepare_dyadic('codes', 2.0**-bits / out.scale, input_bits=46)


def from_codes(codes: Tensor, constants: Constants) -> Tensor:
    """The fixed-point output of a published Softmax, requantized to ``out.scale``."""
    return requantize(codes, dyadic_of(constants, 'codes'))
