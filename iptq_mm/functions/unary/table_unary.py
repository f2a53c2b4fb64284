"""Any elementwise function by table."""

from __future__ import annotations

import torch
from torch import Tensor

from ...registry import FUNCTIONS
from ..base import Constants, FunctionSite, OperationCount, UnaryFunction
from ..curves import STEEP
from ..fixed_point import check_input
from ..tables import look_up
from .results import results


@FUNCTIONS.register_module('table_unary')
class TableUnary(UnaryFunction):
    """A function of an 8-bit input: one look-up, exact up to rounding.

    Source: the quantized activations of TensorFlow Lite.
    """

    max_input_bits = 8

    def prepare(self, site: FunctionSite) -> Constants:
        """See the base class.

        Raises:
            ValueError: If the input has more than 8 bits, the function is undefined
                there, or 8 bits are too few for it.
        """
        check_input(self, site)
        name = site.attributes.get('name')
        if name in STEEP:
            raise ValueError(
                f'an input of 8 bits is too coarse for {name}: name interpolated_unary '
                'among the candidates for unary'
            )
        table = torch.round(results(self, site, site.x.qmin, 256)).long()
        return {'table': table, 'first': site.x.qmin}

    def integer(self, q: Tensor, constants: Constants) -> Tensor:
        """See the base class."""
        return look_up(q, constants)

    def operations(self, row: int) -> OperationCount:
        """See the base class."""
        return OperationCount(lookup=1)
