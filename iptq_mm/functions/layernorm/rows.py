"""The step from a row's statistics to the output of a LayerNorm.

A LayerNorm brings ``y``, proportional to ``x - mean``, and ``v``, its sum of
squares in a unit of its own. Their quotient ``y / sqrt(v)`` has no unit, so that
the input's scale matters to epsilon only. Multiplying by gamma, rather than
dividing beta by it as published, serves a gamma of 0 like any other.
"""

from __future__ import annotations

from torch import Tensor

from ...intmath import isqrt
from ..base import Constants, FunctionSite
from ..fixed_point import (
    ADDEND_BITS,
    affine_dyadic,
    ceil_log2,
    floor_log2,
    ints,
    saturate,
    tensor,
)
from .statistics import Statistics, affine

# Bits of y/sqrt(v), sign excluded, before it meets gamma.
_NORMALIZED_BITS = 30


def prepare_root(statistics: Statistics) -> Constants:
    """Constants of :func:`root`; ``root_shift`` is k."""
    shift = (ADDEND_BITS - ceil_log2(max(statistics.variance, 1))) // 2
    # A tiny input scale makes an epsilon that exceeds every variance.
    room = (ADDEND_BITS - 1 - floor_log2(statistics.epsilon)) // 2
    shift = max(0, min(shift, room))
    epsilon = max(1, saturate(statistics.epsilon * 4.0**shift, ADDEND_BITS))
    return {'root_shift': shift, 'epsilon': epsilon}


def root(v: Tensor, constants: Constants) -> Tensor:
    """``sqrt(v + epsilon) * 2**k``, so that small ``v`` have bits enough.

    Args:
        v: Sums of squares, int64; overwritten.
        constants: From :func:`prepare_root`.

    Returns:
        int64, from 1 to below ``2**32``.
    """
    shift, epsilon = ints(constants, 'root_shift', 'epsilon')
    v <<= 2 * shift
    v += epsilon
    return isqrt(v)


def prepare_affine(site: FunctionSite, statistics: Statistics) -> Constants:
    """Constants of :func:`normalize`, those of :func:`root` included.

    Raises:
        OverflowError: If the output scale is far too small for gamma or beta.
    """
    gamma, beta = affine(site)
    constants = prepare_root(statistics)
    (k,) = ints(constants, 'root_shift')
    peak_bits = ceil_log2(statistics.peak)
    # y * reciprocal <= peak * 2**(reciprocal_bits - k) < 2**62
    reciprocal_bits = min(62, ADDEND_BITS + k - peak_bits)
    fraction = _NORMALIZED_BITS - peak_bits
    multiplier, addend, shift = affine_dyadic(
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
        constants: From :func:`prepare_affine`.

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
