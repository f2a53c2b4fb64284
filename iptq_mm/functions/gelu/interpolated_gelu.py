"""GELU by a table with straight lines between its entries."""

from __future__ import annotations

import torch
from torch import Tensor

from ...intmath import dyadic
from ...registry import FUNCTIONS
from ..base import Constants, FunctionSite, GELUFunction, OperationCount
from ..fixed_point import check_input, floor_log2, ints, tensor

#: From here on ``GELU(x) - ReLU(x)`` is below 2e-5.
RANGE = 4.5
#: Straight lines over the range: 64 16-bit entries are one vector permutation on
#: today's CPUs. A line is off by at most ``h^2 / 8 * max|GELU''|`` = 5e-4.
SEGMENTS = 64
#: Bits of the position within a segment.
FRACTION_BITS = 12
#: Entries of the table are at most 2**ENTRY_BITS.
ENTRY_BITS = 15


@FUNCTIONS.register_module('interpolated_gelu')
class InterpolatedGELU(GELUFunction):
    """``GELU(x) = ReLU(x) + g(|x|)`` with ``g`` piecewise linear.

    ``g(|x|) = -|x| Phi(-|x|)`` is even and ends at 4.5, so that few entries do for
    inputs of any range and of up to 16 bits: the accumulator of a linear layer
    needs no 8-bit stop before GELU. Piecewise linear approximation by table is that
    of NN-LUT (arXiv 2112.02191); the split into ReLU and an even rest is ours.
    """

    def prepare(self, site: FunctionSite) -> Constants:
        """See the base class.

        Raises:
            ValueError: If the input is too wide, or the output finer than 64 bits hold.
        """
        check_input(self, site)
        step = min(RANGE, site.x.bound * site.x.scale) / SEGMENTS
        x = torch.arange(SEGMENTS + 1, dtype=torch.float64) * step
        rest = (self.reference(x, site.approximate) - x) / site.out.scale
        # Where one step of the input leaves the table, two do, too.
        last = SEGMENTS << FRACTION_BITS
        ratio = min(site.x.scale / step * 2.0**FRACTION_BITS, last)
        position = dyadic(ratio, 17)
        try:
            relu = dyadic(site.x.scale / site.out.scale, 18)
        except OverflowError as error:
            raise ValueError(str(error)) from error
        # Entries have ``fine`` bits below an output step, lines FRACTION_BITS more.
        fine = floor_log2(2.0**ENTRY_BITS / float(rest.abs().max()))
        fine = min(fine, int(relu.shift) - FRACTION_BITS, 30)
        table = torch.round(rest * 2.0**fine).long()
        return {
            'position_multiplier': position.multiplier,
            'position_shift': position.shift,
            'table': table[:-1],
            'slope': table.diff(),
            'relu_multiplier': relu.multiplier,
            'shift': relu.shift,
            'line_shift': int(relu.shift) - fine - FRACTION_BITS,
        }

    def integer(self, q: Tensor, constants: Constants) -> Tensor:
        """See the base class."""
        multiplier, position_shift, relu, shift, up = ints(
            constants,
            'position_multiplier',
            'position_shift',
            'relu_multiplier',
            'shift',
            'line_shift',
        )
        x = q.long()
        position = x.abs() * multiplier + (1 << (position_shift - 1)) >> position_shift
        position.clamp_(max=(SEGMENTS << FRACTION_BITS) - 1)
        segment = (position >> FRACTION_BITS).flatten()
        fraction = position & ((1 << FRACTION_BITS) - 1)
        table, slope = (
            tensor(constants, name).index_select(0, segment).view(q.shape)
            for name in ('table', 'slope')
        )
        line = (table << FRACTION_BITS) + slope * fraction
        total = x.clamp(min=0) * relu + (line << up)
        return total + (1 << (shift - 1)) >> shift

    def operations(self, row: int) -> OperationCount:
        """See the base class."""
        return OperationCount(add=7, mul=3, shift=4, lookup=2)
