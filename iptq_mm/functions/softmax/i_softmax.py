"""i-Softmax of I-BERT."""

from __future__ import annotations

from torch import Tensor

from ...intmath import requantize
from ...registry import FUNCTIONS
from ..base import Constants, FunctionSite, OperationCount, SoftmaxFunction
from ..exponential import quadratic_exp
from ..exponents import MAX_EXPONENT, prepare_exponent, row_exponents
from ..fixed_point import dyadic_of, prepare_dyadic
from ..published import i_exp, i_exp_one, prepare_i_exp
from .rows import from_codes, prepare_codes, prepare_quotient, quotient


@FUNCTIONS.register_module('i_softmax')
class ISoftmax(SoftmaxFunction):
    """Softmax whose exponential is a quadratic polynomial.

    Source: I-BERT (arXiv 2101.01321), section 3.5, Algorithm 3.

    Args:
        n: Largest base-2 exponent, at most 31; larger ones are clamped to it.
            Defaults to 31, where an exponential is 0; in the literal form
            to the code's 30.
        literal: The arithmetic of the published code: constants floored at the
            input's scale, 16-bit exponentials, an output with the scale 1/256.
            Inaccurate where the scale of the input is not small.
    """

    def __init__(self, n: int | None = None, literal: bool = False) -> None:
        self.n = n if n is not None else 30 if literal else MAX_EXPONENT
        self.literal = literal

    def prepare(self, site: FunctionSite) -> Constants:
        """See the base class.

        Raises:
            ValueError: If the input spans more than ``2**31`` integers.
            OverflowError: If the output scale is below about ``2**-30``.
        """
        if not self.literal:
            exponent = prepare_exponent(site.x, limit=self.n)
            return {**exponent, **prepare_quotient(site.out)}
        constants = prepare_i_exp(site.x.scale, self.n)
        # Published: a QuantAct; the largest exponential is 1, so no calibration.
        to16 = prepare_dyadic('to16', 32767 / i_exp_one(constants), input_bits=47)
        return {**constants, **to16, **prepare_codes(site.out, bits=8)}

    def integer(self, q: Tensor, constants: Constants) -> Tensor:
        """See the base class."""
        if not self.literal:
            return quotient(quadratic_exp(row_exponents(q, constants)), constants)
        q = q.long()
        e = i_exp(q - q.amax(-1, keepdim=True), constants)
        e = requantize(e, dyadic_of(constants, 'to16'))
        factor = (1 << 32) // e.sum(-1, keepdim=True).clamp_min_(1)
        return from_codes((e * factor) >> 24, constants)

    def operations(self, row: int) -> OperationCount:
        """See the base class; the published form's."""
        return OperationCount(add=12, mul=4, shift=3, div=1 + 1 / row)
