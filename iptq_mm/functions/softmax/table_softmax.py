"""Softmax with a table for the exponential."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...registry import FUNCTIONS
from ..base import Constants, FunctionSite, OperationCount, SoftmaxFunction
from ..fixed_point import ints, shift_, tensor
from ..halvings import differences
from .rows import prepare_quotient, quotient

# Bits of the tables: of the only one, of the high and of the low byte. The
# exponential keeps 32 bits at most, so that sums leave bits to the reciprocal.
_ONLY_BITS, _HIGH_BITS, _LOW_BITS = 30, 18, 14
_LN2 = 0.6931471805599453


@FUNCTIONS.register_module('table_softmax')
class TableSoftmax(SoftmaxFunction):
    """Softmax with ``exp(-S*d)`` of the integer difference ``d`` looked up.

    One table of 256 integers where differences have 8 bits (or are 0 beyond);
    otherwise the product of two, of the high and the low byte. Exact up to
    rounding. Source: TensorFlow Lite's quantized Softmax works like this.
    """

    def prepare(self, site: FunctionSite) -> Constants:
        """See the base class.

        Raises:
            ValueError: If the input spans more than ``2**31`` steps.
            OverflowError: If the output scale is below about ``2**-30``.
        """
        scale, span = site.x.scale, site.x.qmax - site.x.qmin
        if span > 2**31:
            raise ValueError(f'the input spans {span} steps, more than 2**31')
        common = {**prepare_quotient(site.out), 'wide': int(span >= 2**31)}
        index = torch.arange(256, dtype=torch.float64)

        only = torch.round(torch.exp(-scale * index) * 2.0**_ONLY_BITS).long()
        if span <= 255 or only[-1] == 0:
            return {**common, 'clamp': min(span, 255), 'down': 0, 'table': only}

        # From here on the table of the high byte says 0.
        zero = math.ceil((_HIGH_BITS + 2) * _LN2 / scale) + 256
        reach = min(span, zero)
        down = max(0, reach.bit_length() - 16)
        step = scale * 2.0**down
        high = torch.round(torch.exp(-step * 256 * index) * 2.0**_HIGH_BITS)
        low = torch.round(torch.exp(-step * index) * 2.0**_LOW_BITS)
        return {
            **common,
            # Rounding must not carry the largest difference to 2**16.
            'clamp': min(reach, 65535 << down),
            'down': down,
            'table': low.long(),
            'table_high': high.long(),
        }

    def integer(self, q: Tensor, constants: Constants) -> Tensor:
        """See the base class."""
        wide, clamp, down = ints(constants, 'wide', 'clamp', 'down')
        d = shift_(differences(q, wide).clamp_max_(clamp), -down).flatten()
        table = tensor(constants, 'table')
        if 'table_high' in constants:
            e = tensor(constants, 'table_high').index_select(0, d >> 8)
            d &= 255
            e *= table.index_select(0, d)
        else:
            e = table.index_select(0, d)
        return quotient(e.view(q.shape), constants)

    def operations(self, row: int) -> OperationCount:
        """See the base class; of inputs with more than 8 bits."""
        return OperationCount(add=5, mul=2, shift=1, div=1 / row, lookup=2)
