"""ShiftGELU of I-ViT."""

from __future__ import annotations

import torch
from torch import Tensor

from ...intmath import QParams, requantize
from ...registry import FUNCTIONS
from ..base import Constants, FunctionSite, GELUFunction, OperationCount
from ..exponential import CHORD_ONE, chord_exp
from ..exponents import SHIFT_LOG2E, prepare_exponent, to_exponent_
from ..fixed_point import check_input, dyadic_of, ints, prepare_dyadic
from ..published import prepare_shift_exp, shift_exp
from .erf import magnitude_of

# GELU(x) ~ x * sigmoid(1.702*x); the code folds the factor into the scale.
_SIGMOID = 1.702
_INT32_MAX = 2**31 - 1
_WEIGHT_BITS = 15
_HEADROOM = 31 - CHORD_ONE.bit_length()


@FUNCTIONS.register_module('shift_gelu')
class ShiftGELU(GELUFunction):
    """GELU as ``x * sigmoid(1.702*x)`` with I-ViT's ShiftExp.

    Source: I-ViT (arXiv 2207.01405), ShiftGELU. The published form
    takes exponentials of differences to the largest channel of a token. Where
    that exceeds 9.4, all other channels are lost. The sound form needs no
    maximum: ``sigmoid(-|x|) = e / (1 + e)`` with ``e = exp(-|x|)``, hence
    ``GELU(x) = max(x, 0) - |x| * sigmoid(-|x|)``.

    Args:
        n: Largest base-2 exponent, at most 31; larger ones are clamped to it.
            Defaults to 30, where an exponential is 0; in the literal form
            to the code's 23.
        literal: The arithmetic of the published code.
    """

    def __init__(self, n: int | None = None, literal: bool = False) -> None:
        self.n = n if n is not None else 23 if literal else 30
        self.literal = literal

    def prepare(self, site: FunctionSite) -> Constants:
        """See the base class.

        Raises:
            ValueError: If the input has more than 16 bits.
            OverflowError: If the output scale is far too small for the input.
        """
        check_input(self, site)
        if self.literal:
            constants = prepare_shift_exp(site.x.scale * _SIGMOID, self.n)
            (x0,) = ints(constants, 'shift_exp_x0')
            bits = (-x0 << (self.n + 1) >> 24).bit_length()
            bits = site.x.bound.bit_length() + max(8, bits) + 1
            ratio, bits = site.x.scale * 2.0**-7, max(32, bits)
        else:
            # Magnitudes are differences of at most the bound.
            magnitude = QParams(site.x.scale * _SIGMOID, 0, site.x.bound)
            constants = prepare_exponent(magnitude, SHIFT_LOG2E, self.n)
            ratio, bits = site.x.scale * 2.0**-_WEIGHT_BITS, 32
        return {**constants, **prepare_dyadic('out', ratio / site.out.scale, bits)}

    def integer(self, q: Tensor, constants: Constants) -> Tensor:
        """See the base class."""
        factor = dyadic_of(constants, 'out')
        if self.literal:
            return requantize(self._published(q, constants), factor)
        q, magnitude = magnitude_of(q)
        e = chord_exp(to_exponent_(magnitude.clone(), constants))
        # sigmoid(-|x|) = e / (1 + e) with 15 bits; numerator below 2**31.
        weight = (e + CHORD_ONE) >> (_WEIGHT_BITS - _HEADROOM)
        e <<= _HEADROOM
        e = torch.div(e, weight, rounding_mode='trunc')
        magnitude *= e
        out = q.clamp_min(0)
        out <<= _WEIGHT_BITS
        out -= magnitude
        return requantize(out, factor)

    @staticmethod
    def _published(q: Tensor, constants: Constants) -> Tensor:
        q = q.long()
        # Published: the maximum alone; no exponential must exceed 1, either.
        peak = q.amax(-1, keepdim=True).clamp_min_(0)
        e = shift_exp(q - peak, constants)
        total = e + shift_exp(-peak, constants)
        total = total.clamp_(1, _INT32_MAX)
        return q * ((e * (_INT32_MAX // total)) >> 24)

    def operations(self, row: int) -> OperationCount:
        """See the base class; the published form's."""
        return OperationCount(
            add=11 + 7 / row, mul=3 + 1 / row, shift=5 + 4 / row, div=2 + 1 / row
        )
