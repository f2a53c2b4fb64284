"""Log-Int-Softmax of FQ-ViT."""

from __future__ import annotations

import torch
from torch import Tensor

from ...intmath import bit_length, dyadic, requantize
from ...registry import FUNCTIONS
from ..base import Constants, FunctionSite, OperationCount, SoftmaxFunction
from ..exponential import QUADRATIC_ONE, quadratic_mantissa
from ..exponents import FRACTION_BITS, MAX_EXPONENT, prepare_exponent, row_exponents
from ..fixed_point import tensor
from ..published import i_exp, prepare_i_exp


@FUNCTIONS.register_module('log_int_softmax')
class LogIntSoftmax(SoftmaxFunction):
    """Softmax whose probabilities are powers of two.

    Source: FQ-ViT (arXiv 2111.13824), Log-Int-Softmax, with I-BERT's exponential.
    A code ``k`` stands for ``2**-k``. The logarithm is rounded up from a mantissa of
    1.5 on, as in the published code (``log_round``).

    The published form divides by each element. The sound form gets the code from the
    base-2 exponent of the element: ``k`` is its integer part, plus the exponent of the
    row's sum, plus 1 where the mantissa of the exponential is below that of the sum.
    This needs no division and no search for leading zeros.

    Args:
        bits: Bits of a code; probabilities below ``2**-(2**bits - 1)`` are 0.
            At most 4: more codes would not differ in the output.
        n: Largest base-2 exponent, at most 31; larger ones are clamped to it.
            Defaults to 31, where an exponential is 0; in the literal form
            to the code's 30.
        literal: The arithmetic of the published code: constants floored at the
            input's scale, one division for each element.

    Raises:
        ValueError: If ``bits`` is not 1 to 4.
    """

    def __init__(
        self, bits: int = 4, n: int | None = None, literal: bool = False
    ) -> None:
        if not 1 <= bits <= 4:
            raise ValueError(f'from 1 to 4 bits, not {bits}')
        self.bits = bits
        self.n = n if n is not None else 30 if literal else MAX_EXPONENT
        self.literal = literal

    def prepare(self, site: FunctionSite) -> Constants:
        """See the base class.

        Raises:
            ValueError: If the input spans more than ``2**31`` integers.
            OverflowError: If the output scale is below about ``2**-30``.
        """
        codes = 1 << self.bits
        powers = 1 << torch.arange(codes - 1, -1, -1)
        factor = dyadic(2.0 ** (1 - codes) / site.out.scale, input_bits=32)
        table = requantize(powers, factor)
        table = torch.cat([table, table.new_zeros(1)])  # the last one: masked
        if self.literal:
            return {'powers': table, **prepare_i_exp(site.x.scale, self.n)}
        return {'powers': table, **prepare_exponent(site.x, limit=self.n)}

    def integer(self, q: Tensor, constants: Constants) -> Tensor:
        """See the base class."""
        if self.literal:
            codes = self._published(q, constants)
        else:
            codes = self._codes(row_exponents(q, constants))
        powers = tensor(constants, 'powers')
        codes = codes.clamp_max_(powers.numel() - 1)
        return powers.index_select(0, codes.flatten()).view(q.shape)

    @staticmethod
    def _codes(exponents: Tensor) -> Tensor:
        """``floor(log2(4/3 * sum / e))`` of the exponentials ``e``; overwrites."""
        mantissa = quadratic_mantissa(exponents)
        exponents >>= FRACTION_BITS
        total = (mantissa >> exponents).sum(-1, keepdim=True)
        total = (total << 2) // 3
        # 2**exponent <= total / QUADRATIC_ONE < 2**(exponent + 1)
        exponent = bit_length(total // QUADRATIC_ONE) - 1
        exponents += exponent.to(torch.int32)
        # Mantissas lie in (1/2, 1]: the quotient may reach one exponent more.
        exponents += mantissa <= (total >> (exponent + 1)).to(torch.int32)
        return exponents

    @staticmethod
    def _published(q: Tensor, constants: Constants) -> Tensor:
        q = q.long()
        e = i_exp(q - q.amax(-1, keepdim=True), constants)
        total = e.sum(-1, keepdim=True)
        some = e.clamp_min(1)
        ratio = ((some >> 1) + total) // some
        exponent = bit_length(ratio) - 1
        power = 1 << exponent.clamp_min(0)
        exponent += (2 * (ratio - power)) >= power
        return torch.where(e == 0, 1 << 16, exponent).clamp_min_(0)

    def operations(self, row: int) -> OperationCount:
        """See the base class; the published form's."""
        return OperationCount(add=14, mul=2, shift=2, div=2)
