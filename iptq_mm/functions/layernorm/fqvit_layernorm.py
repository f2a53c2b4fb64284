"""LayerNorm of FQ-ViT."""

from __future__ import annotations

import torch
from torch import Tensor

from ...intmath import bit_length
from ...registry import FUNCTIONS
from ..base import Constants, FunctionSite, LayerNormFunction, OperationCount
from ..fixed_point import check_input, ints, tensor
from .rows import prepare_root, root
from .statistics import exact_statistics, gamma_and_beta, moments

# A = gamma*C / (root * out.scale) is a product of two 15-bit mantissas, one per
# channel and one per row, reduced to the 8 bits of the paper.
_FACTOR_BITS, _MANTISSA_BITS = 15, 8
_CUT = 2 * _FACTOR_BITS - 1 - _MANTISSA_BITS
# Fraction bits of beta and the product added to it; of the mean in the literal form.
_FRACTION, _MEAN_BITS = 16, 8
# Room above the product of mantissa and input, for shifts below 0.
_HEADROOM = 24
_BETA_BITS = 38  # 2**22 output integers; 61 bits after the published shift
_MOST_SHIFT = 31


@FUNCTIONS.register_module('fqvit_layernorm')
class FQViTLayerNorm(LayerNormFunction):
    """LayerNorm as a multiplication by an 8-bit mantissa and a shift.

    Source: FQ-ViT (arXiv 2111.13824), integer-only LayerNorm:
    ``y = (sgn(A)*M*x + B) >> N`` where ``M * 2**-N`` is ``abs(A)``, for each
    element. The published code computes A, M, N and B in float; here they are
    integers. The paper's Power-of-Two Factor, a shift of each channel of the input, is
    not part of this function: see ``power_of_two`` among the equalizers.

    The sound form rounds M, where the code truncates it, applies it to
    ``x - mean`` rather than to ``x`` (so that its error does not grow with the
    mean), does not bound N, and adds epsilon.

    Args:
        literal: M truncated, N from 0 to 31, B with the mean, no epsilon, as in
            the published code.
    """

    def __init__(self, literal: bool = False) -> None:
        self.literal = literal

    def prepare(self, site: FunctionSite) -> Constants:
        """See the base class.

        Raises:
            ValueError: If the input has more than 16 bits, gamma is missing, or
                there are more channels than 64 bits serve.
        """
        check_input(self, site)
        gamma, beta = gamma_and_beta(site)
        statistics = exact_statistics(site)
        if self.literal:
            constants: Constants = {'root_shift': 0, 'epsilon': 0}
        else:
            constants = prepare_root(statistics)
        (k,) = ints(constants, 'root_shift')
        # A*root as mantissa * 2**exponent, 0 included.
        factor = gamma * (gamma.numel() * 2.0**k / site.out.scale)
        mantissa, exponent = torch.frexp(factor.abs())
        largest = (1 << _FACTOR_BITS) - 1
        mantissa = torch.round(mantissa * 2.0**_FACTOR_BITS).clamp_(0, largest)
        bound = 2.0**_BETA_BITS
        scaled = torch.round(beta / site.out.scale * 2.0**_FRACTION)
        span = site.x.qmax - site.x.qmin
        return {
            **constants,
            # With so many fraction bits of x - mean, its product has 30 bits.
            'mean_bits': 30 - _MANTISSA_BITS - span.bit_length(),
            'factor': mantissa.long(),
            'exponent': exponent.long() - _FACTOR_BITS,
            'sign': torch.where(factor < 0, -1, 1),
            'beta': scaled.clamp_(-bound, bound).long(),
        }

    def integer(self, q: Tensor, constants: Constants) -> Tensor:
        """See the base class."""
        total, v = moments(q)
        sigma = root(v, constants).clamp_min_(1)
        # 1/root as mantissa * 2**exponent
        reciprocal = (1 << 62) // sigma
        exponent = bit_length(reciprocal) - _FACTOR_BITS
        product = tensor(constants, 'factor') * (reciprocal >> exponent)
        exponent -= 62
        if self.literal:
            return self._published(q, total, product, exponent, constants)
        return self._sound(q, total, product, exponent, constants)

    @staticmethod
    def _sound(
        q: Tensor,
        total: Tensor,
        product: Tensor,
        exponent: Tensor,
        constants: Constants,
    ) -> Tensor:
        (mean_bits,) = ints(constants, 'mean_bits')
        # abs(A) = product * 2**(exponent + channel's exponent), its mantissa
        # rounded to 8 bits.
        cut = (product >> (2 * _FACTOR_BITS - 1)) + _CUT
        m = (product + (1 << (cut - 1))) >> cut
        m *= tensor(constants, 'sign')
        size = q.shape[-1]
        mean = ((total << mean_bits) + size // 2) // size
        m *= (q.long() << mean_bits) - mean
        shift = (mean_bits - _FRACTION + _HEADROOM) - exponent
        shift = shift - tensor(constants, 'exponent')
        shift -= cut
        m <<= _HEADROOM
        m >>= shift.clamp_(0, 62)
        m += tensor(constants, 'beta') + (1 << (_FRACTION - 1))
        m >>= _FRACTION
        return m

    @staticmethod
    def _published(
        q: Tensor,
        total: Tensor,
        product: Tensor,
        exponent: Tensor,
        constants: Constants,
    ) -> Tensor:
        exponent = exponent + tensor(constants, 'exponent')
        logarithm = bit_length(product) - 1 + exponent
        n = (_MANTISSA_BITS - 1 - logarithm).clamp_(0, _MOST_SHIFT)
        down = (-(exponent + n)).clamp_(0, 62)
        sign = tensor(constants, 'sign')
        m = (product >> down).clamp_max_(255)
        size = q.shape[-1]
        mean = ((total << _MEAN_BITS) + size // 2) // size
        b = (tensor(constants, 'beta') >> (_FRACTION - _MEAN_BITS)) << n
        b -= sign * ((mean * product) >> down)
        b >>= _MEAN_BITS
        half = (1 << n) >> 1
        return (sign * m * q.long() + b + half) >> n

    def operations(self, row: int) -> OperationCount:
        """See the base class; the square root as 4 Newton steps a row."""
        return OperationCount(add=6 + 4 / row, mul=4, shift=5 + 4 / row, div=6 / row)
