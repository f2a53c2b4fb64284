"""GELU by table."""

from __future__ import annotations

import torch
from torch import Tensor

from ...registry import FUNCTIONS
from ..base import Constants, FunctionSite, GELUFunction, OperationCount
from ..fixed_point import check_input
from ..tables import look_up


@FUNCTIONS.register_module('table_gelu')
class TableGELU(GELUFunction):
    """GELU of an 8-bit input: one look-up, exact up to rounding.

    Source: the quantized activations of TensorFlow Lite.
    """

    max_input_bits = 8

    def prepare(self, site: FunctionSite) -> Constants:
        """See the base class.

        Raises:
            ValueError: If the input has too many bits.
        """
        check_input(self, site)
        end = site.x.qmin + self.entries(site)
        q = torch.arange(site.x.qmin, end, dtype=torch.float64)
        real = self.reference(q * site.x.scale, site.approximate)
        # Larger values saturate in the output anyway; the table stays in 31 bits.
        table = torch.round(real / site.out.scale).clamp_(-(2**30), 2**30)
        return {'table': table.long(), 'first': site.x.qmin}

    def entries(self, site: FunctionSite) -> int:
        """How many entries the table has: one for each byte."""
        return 256

    def integer(self, q: Tensor, constants: Constants) -> Tensor:
        """See the base class."""
        return look_up(q, constants)

    def operations(self, row: int) -> OperationCount:
        """See the base class."""
        return OperationCount(lookup=1)
