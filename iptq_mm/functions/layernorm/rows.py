"""The last step of a LayerNorm: from the statistics of a row to its output.

A LayerNorm brings ``y``, proportional to ``x - mean``, and ``v``, proportional to the
sum of its squares. The quotient ``y / sqrt(v)`` does not depend on the scale of the
input, which matters to epsilon only. The output is multiplied by gamma, where the
published forms divide beta by gamma: so a gamma of 0 needs no special case.
"""

from __future__ import annotations

from torch import Tensor

from ...intmath import isqrt
from ..base import Constants, FunctionSite
from ..fixed_point import (
    ADDEND_BITS,
    ceil_log2,
    dyadic_with_offset,
    floor_log2,
    ints,
    saturate,
    tensor,
)
from .statistics import Statistics, gamma_and_beta

# Bits of y/sqrt(v), sign excluded, before it meets gamma.
_NORMALIZED_BITS = 30


def prepare_root(statistics: Statistics) -> Constants:
    """Constants of :func:`root`; ``root_shift`` is k."""
    shift = (ADDEND_BITS - ceil_log2(max(statistics.variance, 1))) // 2
    # With a tiny input scale, epsilon exceeds every variance.
    room = (ADDEND_BITS - 1 - floor_log2(statistics.epsilon)) // 2
    shift = max(0, min(shift, room))
    epsilon = max(1, saturate(statistics.epsilon * 4.0**shift, ADDEND_BITS))
    return {'root_shift': shift, 'epsilon': epsilon}


def root(v: Tensor, constants: Constants) -> Tensor:
    """``sqrt(v + epsilon) * 2**k``; k gives the root of a small ``v`` enough bits.

    Args:
        v: Sums of squares, int64; overwritten.
        constants: From :func:`prepare_root`.

    Returns:
        int64, 1 or more and below ``2**32``.
    """
    shift, epsilon = ints(constants, 'root_shift', 'epsilon')
    v <<= 2 * shift
    v += epsilon
    return isqrt(v)


def prepare_normalize(site: FunctionSite, statistics: Statistics) -> Constants:
    """Constants of :func:`normalize`, those of :func:`root` included.

    Raises:
        OverflowError: If the output scale is far too small for gamma or beta.
    """
    gamma, beta = gamma_and_beta(site)
    constants = prepare_root(statistics)
    (k,) = ints(constants, 'root_shift')
    peak_bits = ceil_log2(statistics.peak)
    # y * reciprocal <= peak * 2**(reciprocal_bits - k) < 2**62
    reciprocal_bits = min(62, ADDEND_BITS + k - peak_bits)
    fraction = _NORMALIZED_BITS - peak_bits
    multiplier, addend, shift = dyadic_with_offset(
        gamma * (statistics.gain / 2.0**fraction / site.out.scale),
        beta / site.out.scale,
    )
    return {
        **constants,
        'reciprocal_bits': reciprocal_bits,
        'drop': reciprocal_bits - k - fraction,
        'multiplier': multiplier,
        'addend': addend,
        'out_shift': shift,
    }


def normalize(y: Tensor, v: Tensor, constants: Constants) -> Tensor:
    """``gamma * y/sqrt(v) + beta`` at the output's scale.

    Args:
        y: Centred values, int32 or int64, shape (..., C).
        v: Their sum of squares, int64, shape (..., 1); overwritten.
        constants: From :func:`prepare_normalize`.

    Returns:
        int64, shape (..., C).
    """
    bits, drop, shift = ints(constants, 'reciprocal_bits', 'drop', 'out_shift')
    z = y * ((1 << bits) // root(v, constants))
    z >>= drop
    z *= tensor(constants, 'multiplier')
    z += tensor(constants, 'addend')
    z >>= shift
    return z
