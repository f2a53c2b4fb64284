"""The SiLU of DI-SwiGLU, of I-LLM."""

from __future__ import annotations

from torch import Tensor

from ...registry import FUNCTIONS
from ..base import Constants, FunctionSite, OperationCount, UnaryFunction
from ..fixed_point import check_input
from ..shifted_sigmoid import prepare_sigmoid_product, sigmoid_product


@FUNCTIONS.register_module('di_swiglu')
class DISwiGLU(UnaryFunction):
    """SiLU, ``x * sigmoid(x)``, whose sigmoid is made of shifted exponentials.

    Source: I-LLM (arXiv 2405.17849), DI-SwiGLU, whose exponential (DI-Exp) is I-ViT's
    ShiftExp. Its product with the other half of the layer is a site of its own. The
    published form takes exponentials of differences to the largest channel, at scales
    that each token finds at run time; here scales are calibrated, and there is no
    maximum (see :mod:`..shifted_sigmoid`). It serves sites of SiLU alone.
    """

    def prepare(self, site: FunctionSite) -> Constants:
        """See the base class.

        Raises:
            ValueError: If the site is no SiLU, or its input has more than 16 bits.
            OverflowError: If the output scale is far too small for the input.
        """
        check_input(self, site)
        name = site.attributes.get('name', 'silu')
        if name != 'silu':
            raise ValueError(
                f'di_swiglu is a SiLU, not {name}: name interpolated_unary among the '
                'candidates for unary, too'
            )
        return prepare_sigmoid_product(site, 1.0, 30)

    def integer(self, q: Tensor, constants: Constants) -> Tensor:
        """See the base class."""
        return sigmoid_product(q, constants)

    def operations(self, row: int) -> OperationCount:
        """See the base class."""
        return OperationCount(add=7, mul=2, shift=4, div=1)
