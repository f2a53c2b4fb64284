"""GELU by linear interpolation between the entries of a table."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ...registry import FUNCTIONS
from ..base import Constants, FunctionSite, GELUFunction, OperationCount
from ..fixed_point import ADDEND_BITS, ceil_log2, check_input, ints, tensor

#: From here on ``GELU(x) - ReLU(x)`` is below 2e-5.
RANGE = 4.5
#: Line segments over the range. The error of one is at most ``h^2 / 8 * max|GELU''|``,
#: which is 5e-4.
SEGMENTS = 64


class _Widths(NamedTuple):
    """Bits of the intermediate values.

    Attributes:
        fraction: Bits of the position within a segment.
        entry: Bits of the table: its entries are at most ``2**entry``.
        relu: Bits of the multiplier of the input.
        error: Bits that a product has below the output's step, beside those of the
            position.
    """

    fraction: int
    entry: int
    relu: int
    error: int


#: For outputs of at most 8 bits. Every factor has 16 bits: position, table and slope
#: fit 16-bit lanes, and the 64 entries fit two 512-bit registers.
_LOW = _Widths(fraction=9, entry=15, relu=15, error=7)
#: For others, whose steps are smaller. The multiplier of the input has no more bits: a
#: large output may be a step off. With more output steps in one of the input, the
#: position has fewer bits; with fewer than these, its rounding costs as much as the
#: interpolation.
_MIDDLE, _LEAST_FRACTION = _LOW._replace(error=4), 8
#: For outputs that these cannot serve.
_HIGH = _Widths(fraction=14, entry=24, relu=24, error=7)


def _widths(site: FunctionSite) -> _Widths:
    """The lowest widths that leave about the error of the interpolation."""
    if site.out.bits <= 8:
        return _LOW
    exponent = math.frexp(site.x.scale / site.out.scale)[1]
    fraction = min(_MIDDLE.fraction, _MIDDLE.relu - _MIDDLE.error - exponent)
    return _MIDDLE._replace(fraction=fraction) if fraction >= _LEAST_FRACTION else _HIGH


@FUNCTIONS.register_module('interpolated_gelu')
class InterpolatedGELU(GELUFunction):
    """``GELU(x) = ReLU(x) + g(|x|)`` with ``g`` piecewise linear.

    ``g(|x|) = -|x| Phi(-|x|)`` is even and practically 0 from 4.5 on. A small table is
    therefore enough for inputs of any range and of up to 16 bits, so that the output of
    a linear layer need not be rounded to 8 bits before GELU. Approximating by a
    piecewise linear table is due to NN-LUT (arXiv 2112.02191); the decomposition into
    ReLU and an even rest is this project's.
    """

    def prepare(self, site: FunctionSite) -> Constants:
        """See the base class.

        Raises:
            ValueError: If the input has more than 16 bits, or the output scale is far
                too small for 64 bits.
        """
        check_input(self, site)
        widths = _widths(site)
        step = min(RANGE, site.x.bound * site.x.scale) / SEGMENTS
        x = torch.arange(SEGMENTS + 1, dtype=torch.float64) * step
        rest = (self.reference(x, site.approximate) - x) / site.out.scale
        # If the integer 1 is beyond the table already, a larger ratio changes nothing.
        end = SEGMENTS << widths.fraction
        ratio = min(site.x.scale / step * 2.0**widths.fraction, end)
        position_shift = max(0, 16 - math.frexp(ratio)[1])
        multiplier = round(ratio * 2.0**position_shift)
        relu = site.x.scale / site.out.scale
        shift = min(site.x.bits + widths.error - 2, widths.relu - math.frexp(relu)[1])
        shift = max(shift, widths.fraction + widths.error)
        if math.frexp(relu)[1] + shift + site.x.bits > ADDEND_BITS:
            raise ValueError(
                f'an output scale of {site.out.scale:.3g} is far too small for an '
                f'input scale of {site.x.scale:.3g}: products overflow 64 bits'
            )
        # Entries have ``fine`` fraction bits; a line has those of the position, too.
        fine = widths.entry - ceil_log2(float(rest.abs().max()))
        fine = min(fine, shift - widths.fraction)
        table = torch.round(rest * 2.0**fine).long()
        return {
            'position_multiplier': multiplier,
            'position_shift': position_shift,
            'fraction_bits': widths.fraction,
            'table': table[:-1],
            'slope': table.diff(),
            'relu_multiplier': round(relu * 2.0**shift),
            'shift': shift,
            'line_shift': shift - fine - widths.fraction,
        }

    def integer(self, q: Tensor, constants: Constants) -> Tensor:
        """See the base class."""
        multiplier, position_shift, fraction_bits = ints(
            constants, 'position_multiplier', 'position_shift', 'fraction_bits'
        )
        relu, shift, up = ints(constants, 'relu_multiplier', 'shift', 'line_shift')
        x = q.long()
        position = x.abs() * multiplier >> position_shift
        position.clamp_(max=(SEGMENTS << fraction_bits) - 1)
        segment = (position >> fraction_bits).flatten()
        fraction = position & ((1 << fraction_bits) - 1)
        table, slope = (
            tensor(constants, name).index_select(0, segment).view(q.shape)
            for name in ('table', 'slope')
        )
        line = (table << fraction_bits) + slope * fraction
        total = x.clamp(min=0) * relu + (line << up)
        return total + (1 << (shift - 1)) >> shift

    def operations(self, row: int) -> OperationCount:
        """See the base class."""
        return OperationCount(add=7, mul=3, shift=4, lookup=2)
