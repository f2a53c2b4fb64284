"""GELU by a table of all its inputs."""

from __future__ import annotations

import torch
from torch import Tensor

from ...registry import FUNCTIONS
from ..base import Constants, FunctionSite, GELUFunction, OperationCount
from ..fixed_point import check_input, ints, tensor


@FUNCTIONS.register_module('long_table_gelu')
class LongTableGELU(GELUFunction):
    """GELU of an input of up to 16 bits: one look-up, exact up to rounding.

    Where every result counts, as in the wider model of a guard: ``table_gelu`` rounds
    its input to 8 bits, ``interpolated_gelu`` is off by up to 5e-4. The table has up to
    65536 entries, 512 KB, for each site.
    """

    def prepare(self, site: FunctionSite) -> Constants:
        """See the base class.

        Raises:
            ValueError: If the input has more than 16 bits.
        """
        check_input(self, site)
        q = torch.arange(site.x.qmin, site.x.qmax + 1, dtype=torch.float64)
        real = self.reference(q * site.x.scale, site.approximate)
        # Larger values saturate in the output anyway; the table stays in 31 bits.
        table = torch.round(real / site.out.scale).clamp_(-(2**30), 2**30)
        return {'table': table.long(), 'first': site.x.qmin}

    def integer(self, q: Tensor, constants: Constants) -> Tensor:
        """See the base class."""
        (first,) = ints(constants, 'first')
        index = (q.to(torch.int32) - first).flatten()
        return tensor(constants, 'table').index_select(0, index).view(q.shape)

    def operations(self, row: int) -> OperationCount:
        """See the base class."""
        return OperationCount(lookup=1)
