"""``x * sigmoid(factor * x)`` with I-ViT's ShiftExp, for any sign of ``x`` alike.

The published forms take exponentials of differences to the largest channel of a token.
Where that exceeds 9.4, all other channels are lost. This one needs no maximum:
``sigmoid(-|x|) = e / (1 + e)`` with ``e = exp(-|x|)``, hence the product is
``max(x, 0) - |x| * sigmoid(-|x|)``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..intmath import QParams, requantize
from .base import Constants, FunctionSite
from .exponential import CHORD_ONE, chord_exp
from .exponents import SHIFT_LOG2E, prepare_exponent, to_exponent_
from .fixed_point import dyadic_of, prepare_dyadic

_WEIGHT_BITS = 15
_HEADROOM = 31 - CHORD_ONE.bit_length()


def prepare_sigmoid_product(site: FunctionSite, factor: float, n: int) -> Constants:
    """Constants of :func:`sigmoid_product`.

    Args:
        site: The site, with an input of at most 16 bits.
        factor: Of the argument of the sigmoid.
        n: Largest base-2 exponent, at most 31; larger ones are clamped to it.

    Raises:
        OverflowError: If the output scale is far too small for the input.
    """
    # Magnitudes are differences of at most the bound.
    magnitude = QParams(site.x.scale * factor, 0, site.x.bound)
    ratio = site.x.scale * 2.0**-_WEIGHT_BITS / site.out.scale
    exponent = prepare_exponent(magnitude, SHIFT_LOG2E, n)
    return {**exponent, **prepare_dyadic('out', ratio)}


def sigmoid_product(q: Tensor, constants: Constants) -> Tensor:
    """``x * sigmoid(factor * x)`` at the output's scale, int64."""
    q = q.to(torch.int32)  # no 8-bit number holds -(-128)
    magnitude = q.abs()
    e = chord_exp(to_exponent_(magnitude.clone(), constants))
    # sigmoid(-|x|) = e / (1 + e) with 15 bits; numerator below 2**31.
    weight = (e + CHORD_ONE) >> (_WEIGHT_BITS - _HEADROOM)
    e <<= _HEADROOM
    e = torch.div(e, weight, rounding_mode='trunc')
    magnitude *= e
    out = q.clamp_min(0)
    out <<= _WEIGHT_BITS
    out -= magnitude
    return requantize(out, dyadic_of(constants, 'out'))
