"""The exponentials of I-BERT and I-ViT with the constants of their code.

For comparison only. Their constants are floors of ``1/S``: exact enough for inputs of
20 and more bits, which I-BERT has, and far off for 8 bits. Constants that do not fit
64 bits are clamped, so that every scale gives a result, however inaccurate.
"""

from __future__ import annotations

from torch import Tensor

from .base import Constants
from .fixed_point import floor_int, ints

# Sums over 65536 elements stay below 2**62.
_EXP_BITS = 45


def prepare_i_exp(scale: float, n: int) -> Constants:
    """Constants of :func:`i_exp`.

    Args:
        scale: Scale of the input.
        n: Largest base-2 exponent, and the left shift that keeps its bits (30 in the
            code; less where 64 bits do not hold it).
    """
    # The code's a, b and c; the latter two are divided by a.
    a = 0.35815147
    b, c, x0 = 0.96963238 / a, 1 / a, -0.6931
    c_int = floor_int(c / scale / scale, _EXP_BITS - 1)
    return {
        'i_exp_n': n,
        'i_exp_x0': floor_int(x0 / scale, 20),
        'i_exp_b': floor_int(b / scale, 22),
        'i_exp_c': c_int,
        'i_exp_left': max(0, min(n, _EXP_BITS - c_int.bit_length())),
    }


def i_exp_one(constants: Constants) -> int:
    """The integer that stands for 1 in the results of :func:`i_exp`, at least 1."""
    c, left = ints(constants, 'i_exp_c', 'i_exp_left')
    return max(c << left, 1)


def i_exp(x: Tensor, constants: Constants) -> Tensor:
    """``exp(x)`` by I-BERT's ``int_exp``.

    Args:
        x: Integers, at most 0, int64.
        constants: From :func:`prepare_i_exp`.

    Returns:
        int64 where ``i_exp_one`` stands for 1.
    """
    n, x0, b, c, left = ints(
        constants, 'i_exp_n', 'i_exp_x0', 'i_exp_b', 'i_exp_c', 'i_exp_left'
    )
    x = x.clamp_min(n * x0)
    z = x // x0
    p = x - x0 * z
    e = p * (p + b) + c
    return ((e << left) >> z).clamp_min_(0)


def prepare_shift_exp(scale: float, n: int) -> Constants:
    """Constants of :func:`shift_exp`.

    Args:
        scale: Scale of the input.
        n: Largest base-2 exponent (15 in the code's Softmax, 23 in its GELU).
    """
    return {'shift_exp_n': n, 'shift_exp_x0': floor_int(-1 / scale, 43 - n)}


def shift_exp(x: Tensor, constants: Constants, tangent: bool = False) -> Tensor:
    """``exp(x)`` by I-ViT's ``int_exp_shift``.

    Args:
        x: Integers, at most 0, int64.
        constants: From :func:`prepare_shift_exp`.
        tangent: IPTQ-ViT's ``1 + r*11/16`` in place of ``1 + r/2``.

    Returns:
        int64 where ``-x0 << n`` stands for 1.
    """
    n, x0 = ints(constants, 'shift_exp_n', 'shift_exp_x0')
    x = x + (x >> 1) - (x >> 4)
    x = x.clamp_min_(n * x0)
    z = x // x0
    r = x - x0 * z
    if tangent:
        m = ((r >> 1) + (r >> 3) + (r >> 4) - x0) << n
    else:
        m = ((r - 2 * x0) << n) >> 1  # r/2 with its half
    return (m >> z).clamp_min_(0)
