"""Shiftmax of I-ViT."""

from __future__ import annotations

from torch import Tensor

from ...registry import FUNCTIONS
from ..base import Constants, FunctionSite, OperationCount, SoftmaxFunction
from ..exponential import chord_exp
from ..exponents import SHIFT_LOG2E, prepare_exponent, row_exponents
from ..published import prepare_shift_exp, shift_exp
from .rows import from_codes, prepare_codes, prepare_quotient, quotient

_INT32_MAX = 2**31 - 1


def published_shiftmax(
    q: Tensor, constants: Constants, output_bits: int, tangent: bool = False
) -> Tensor:
    """The Softmax of I-ViT's code (``IntSoftmax``); int64 at ``out.scale``.

    Args:
        q: Integers; rows are along the last dimension.
        constants: From ``prepare_shift_exp`` and ``prepare_codes``.
        output_bits: Bits of the probabilities, sign included.
        tangent: Whether to use IPTQ-ViT's exponential instead of I-ViT's.
    """
    q = q.long()
    e = shift_exp(q - q.amax(-1, keepdim=True), constants, tangent)
    total = e.sum(-1, keepdim=True).clamp_(1, _INT32_MAX)
    e *= _INT32_MAX // total
    return from_codes(e >> (32 - output_bits), constants)


@FUNCTIONS.register_module('shiftmax')
class Shiftmax(SoftmaxFunction):
    """Softmax whose exponential is a chord of ``2**t``.

    Source: I-ViT (arXiv 2207.01405), Shiftmax. The sound form approximates the
    same real function: log2(e) is 1.4375, the sum of the three published shifts.
    Example::

        >>> import torch
        >>> from iptq_mm.functions import FunctionSite
        >>> from iptq_mm.intmath import QParams
        >>> x, out = QParams.symmetric(8.0, 8), QParams(1 / 255, 0, 255)
        >>> function = Shiftmax()
        >>> constants = function.prepare(FunctionSite(x, out))  # floats, once
        >>> q = x.quantize(torch.tensor([[0.0, 1.0, 2.0]]))
        >>> function.integer(q, constants)  # integers only
        tensor([[ 23,  65, 167]])
        >>> (torch.softmax(torch.tensor([[0.0, 1.0, 2.0]]), -1) * 255).round()
        tensor([[ 23.,  62., 170.]])

    Args:
        n: Largest base-2 exponent, at most 30; larger ones are clamped to it.
            Defaults to 30, where an exponential is 0; in the literal form
            to the code's 15.
        output_bits: Bits of a probability in the literal form: 16 for ViT, 8
            for Swin.
        literal: The arithmetic of the published code: ``x0 = floor(-1/S)``, an
            output with the scale ``2**-(output_bits-1)``. Inaccurate where the
            scale of the input is not small, or so small that sums exceed 31 bits.
    """

    def __init__(
        self, n: int | None = None, output_bits: int = 16, literal: bool = False
    ) -> None:
        self.n = n if n is not None else 15 if literal else 30
        self.output_bits = output_bits
        self.literal = literal

    def prepare(self, site: FunctionSite) -> Constants:
        """See the base class.

        Raises:
            ValueError: If the input spans more than ``2**31`` integers.
            OverflowError: If the output scale is below about ``2**-30``.
        """
        if self.literal:
            codes = prepare_codes(site.out, self.output_bits - 1)
            return {**prepare_shift_exp(site.x.scale, self.n), **codes}
        exponent = prepare_exponent(site.x, SHIFT_LOG2E, self.n)
        return {**exponent, **prepare_quotient(site.out)}

    def integer(self, q: Tensor, constants: Constants) -> Tensor:
        """See the base class."""
        if self.literal:
            return published_shiftmax(q, constants, self.output_bits)
        return quotient(chord_exp(row_exponents(q, constants)), constants)

    def operations(self, row: int) -> OperationCount:
        """See the base class; the published form's."""
        return OperationCount(add=10 + 1 / row, mul=2, shift=5, div=1 + 1 / row)
