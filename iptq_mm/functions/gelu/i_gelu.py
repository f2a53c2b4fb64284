"""i-GELU of I-BERT."""

from __future__ import annotations

from torch import Tensor

from ...intmath import requantize
from ...registry import FUNCTIONS
from ..base import Constants, FunctionSite, GELUFunction, OperationCount
from ..fixed_point import check_input, dyadic_of, floor_int, ints, prepare_dyadic
from .erf import (
    SQRT2,
    from_vertex,
    magnitude_of,
    output,
    prepare_output,
    prepare_vertex,
)

_A, _B = -0.2888, -1.769


@FUNCTIONS.register_module('i_gelu')
class IGELU(GELUFunction):
    """GELU with a second-order polynomial for the error function.

    ``L(u) = sgn(u) * (a*(min(|u|, -b) + b)**2 + 1)``, u = x/sqrt(2), with
    (a, b) = (-0.2888, -1.769).

    Source: I-BERT (arXiv 2101.01321), section 3.4, equation 8, Algorithm 2.

    Args:
        n: Right shift of the polynomial in the literal form; 0 to 14.
        literal: The constants of the published code. They are made for 22-bit inputs;
            for an 8-bit input, the polynomial is rounded away.
    """

    def __init__(self, n: int = 14, literal: bool = False) -> None:
        self.n = n
        self.literal = literal

    def prepare(self, site: FunctionSite) -> Constants:
        """See the base class.

        Raises:
            ValueError: If the input has more than 16 bits.
            OverflowError: If the output scale is far too small for the input.
        """
        check_input(self, site)
        if self.literal:
            return self._published(site)
        constants = prepare_vertex(site, -_B * SQRT2)
        (vertex,) = ints(constants, 'vertex')
        one = max(1, round(vertex * vertex / (-_A * _B * _B)))
        return {**constants, 'one': one, **prepare_output(site, one)}

    def _published(self, site: FunctionSite) -> Constants:
        step = site.x.scale / 1.4142  # the code's k
        scale = _A * step * step * 2.0**self.n
        one = floor_int(1 / scale, 44)
        bits = max(32, one.bit_length() + 2 + site.x.bound.bit_length())
        # A scale of hundreds makes a meaningless ratio, which still has to fit.
        ratio = max(site.x.scale * scale / 2 / site.out.scale, -(2.0 ** (61 - bits)))
        return {
            'b': floor_int(_B / step, (44 + self.n) // 2),
            'c': floor_int(1 / _A / step / step, 44 + self.n),
            'one': one,
            **prepare_dyadic('out', ratio, bits),
        }

    def integer(self, q: Tensor, constants: Constants) -> Tensor:
        """See the base class."""
        if not self.literal:
            q, magnitude = magnitude_of(q)
            erf = from_vertex(magnitude, constants)
            erf *= erf
            (one,) = ints(constants, 'one')
            erf.neg_()
            erf += one
            return output(q, magnitude, erf, constants)
        b, c, one = ints(constants, 'b', 'c', 'one')
        q = q.long()
        u = q.abs().clamp_max_(-b) + b
        y = (q.sign() * (u * u + c)) >> self.n
        return requantize(q * (y + one), dyadic_of(constants, 'out'))

    def operations(self, row: int) -> OperationCount:
        """See the base class."""
        return OperationCount(add=6, mul=2, shift=1)
