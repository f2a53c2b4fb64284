"""GELU by a table of all its inputs."""

from __future__ import annotations

from ...registry import FUNCTIONS
from ..base import FunctionSite
from .table_gelu import TableGELU


@FUNCTIONS.register_module('long_table_gelu')
class LongTableGELU(TableGELU):
    """GELU of an input of up to 16 bits: one look-up, exact up to rounding.

    Where every result counts, as in the wider model of a guard: ``table_gelu`` rounds
    its input to 8 bits, ``interpolated_gelu`` is off by up to 5e-4. The table has up to
    65536 entries, 512 KB, for each site.
    """

    max_input_bits = 16

    def entries(self, site: FunctionSite) -> int:
        """How many entries the table has: one for each integer of the input."""
        return site.x.qmax - site.x.qmin + 1
