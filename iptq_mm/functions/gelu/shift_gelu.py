"""ShiftGELU of I-ViT."""

from __future__ import annotations

from torch import Tensor

from ...intmath import requantize
from ...registry import FUNCTIONS
from ..base import Constants, FunctionSite, GELUFunction, OperationCount
from ..fixed_point import check_input, dyadic_of, ints, prepare_dyadic
from ..published import prepare_shift_exp, shift_exp
from ..shifted_sigmoid import prepare_sigmoid_product, sigmoid_product

# GELU(x) ~ x * sigmoid(1.702*x); the code folds the factor into the scale.
_SIGMOID = 1.702
_INT32_MAX = 2**31 - 1


@FUNCTIONS.register_module('shift_gelu')
class ShiftGELU(GELUFunction):
    """GELU as ``x * sigmoid(1.702*x)`` with I-ViT's ShiftExp.

    Source: I-ViT (arXiv 2207.01405), ShiftGELU. The published form takes exponentials
    of differences to the largest channel of a token; the sound form needs no maximum,
    see :mod:`..shifted_sigmoid`.

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
        if not self.literal:
            return prepare_sigmoid_product(site, _SIGMOID, self.n)
        constants = prepare_shift_exp(site.x.scale * _SIGMOID, self.n)
        (x0,) = ints(constants, 'shift_exp_x0')
        bits = (-x0 << (self.n + 1) >> 24).bit_length()
        bits = site.x.bound.bit_length() + max(8, bits) + 1
        ratio = site.x.scale * 2.0**-7 / site.out.scale
        return {**constants, **prepare_dyadic('out', ratio, max(32, bits))}

    def integer(self, q: Tensor, constants: Constants) -> Tensor:
        """See the base class."""
        if self.literal:
            factor = dyadic_of(constants, 'out')
            return requantize(self._published(q, constants), factor)
        return sigmoid_product(q, constants)

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
