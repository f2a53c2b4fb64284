"""Softmax whose exponentials are looked up in tables."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...registry import FUNCTIONS
from ..base import Constants, FunctionSite, OperationCount, SoftmaxFunction
from ..exponents import differences
from ..fixed_point import ints, shift_, tensor
from .rows import prepare_quotient, quotient

#: Bits of the only table's entries.
_ONLY_BITS = 30
#: Bits of the entries of three tables: their products are two of 16 bits each.
_BITS = 16
#: Exponentials below ``2**-_SMALLEST`` of the largest are 0.
_SMALLEST = 20
#: Entries of the three tables: 32 differences of 1, 32 of 32, and 64 of 1024.
_FINE_BITS, _BLOCK_BITS = 5, 10
_FINE, _BLOCK, _BLOCKS = 1 << _FINE_BITS, 1 << _BLOCK_BITS, 64
#: Bits of a shift.
_EXPONENT_BITS = 5
_LN2 = 0.6931471805599453


@FUNCTIONS.register_module('table_softmax')
class TableSoftmax(SoftmaxFunction):
    """Softmax with ``exp(-S*d)`` of the integer difference ``d`` looked up.

    There is one table of 256 integers if differences have 8 bits, or if exponentials of
    larger differences are 0. Otherwise the exponential is the product of entries of
    three tables, which are indexed by 6, 5 and 5 bits of ``d``: 32 or 64 entries of 16
    bits fit one or two 512-bit vectors, where a look-up is one permutation. The coarse
    table has a shift for each entry, so that small exponentials have as many digits as
    large ones. Exact up to rounding.

    Source: the quantized Softmax of TensorFlow Lite looks exponentials up, too.
    """

    def prepare(self, site: FunctionSite) -> Constants:
        """See the base class.

        Raises:
            ValueError: If the input spans more than ``2**31`` integers.
            OverflowError: If the output scale is below about ``2**-30``.
        """
        scale, span = site.x.scale, site.x.qmax - site.x.qmin
        if span > 2**31:
            raise ValueError(f'the input spans {span} integers, more than 2**31')
        common = {**prepare_quotient(site.out), 'wide': int(span >= 2**31)}
        index = torch.arange(256, dtype=torch.float64)

        only = torch.round(torch.exp(-scale * index) * 2.0**_ONLY_BITS).long()
        if span <= 255 or only[-1] == 0:
            return {**common, 'clamp': min(span, 255), 'down': 0, 'table': only}

        down = 0
        while span >> down >= 2**16 and _zero_block(scale * 2.0**down) >= _BLOCKS:
            down += 1
        step = scale * 2.0**down
        zero = _zero_block(step)
        mantissa, exponent = _normalized(step, zero)
        return {
            **common,
            # Rounding must not carry the largest difference to 2**16.
            'clamp': min(span, min(zero * _BLOCK, 2**16 - 1) << down),
            'down': down,
            'fine': _entries(step),
            'medium': _entries(step * _FINE),
            'mantissa': mantissa,
            'exponent': exponent,
        }

    def integer(self, q: Tensor, constants: Constants) -> Tensor:
        """See the base class."""
        wide, clamp, down = ints(constants, 'wide', 'clamp', 'down')
        d = shift_(differences(q, wide).clamp_max_(clamp), -down).flatten()
        return quotient(exponentials(d, constants).view(q.shape), constants)

    def operations(self, row: int) -> OperationCount:
        """See the base class; of inputs with more than 8 bits."""
        return OperationCount(add=7, mul=3, shift=5, div=1 / row, lookup=4)


def exponentials(d: Tensor, constants: Constants) -> Tensor:
    """``exp(-S*d)``, times a constant that a Softmax cancels.

    Args:
        d: Differences from 0 to the largest of the tables, int32, shape (N,).
        constants: From :class:`TableSoftmax`, or from :func:`with_two_tables`.

    Returns:
        int64 below ``2**31``, shape (N,).
    """
    if 'table' in constants:
        return tensor(constants, 'table').index_select(0, d)
    if 'within' in constants:
        within = tensor(constants, 'within').index_select(0, d & (_BLOCK - 1))
        block = tensor(constants, 'block').index_select(0, d >> _BLOCK_BITS)
        e = within.long() * (block >> _EXPONENT_BITS)
        return e >> (block & ((1 << _EXPONENT_BITS) - 1))
    fine = tensor(constants, 'fine').index_select(0, d & (_FINE - 1))
    index = d >> _FINE_BITS & (_FINE - 1)
    medium = tensor(constants, 'medium').index_select(0, index)
    block = d >> _BLOCK_BITS
    e = (fine * medium >> _BITS) * tensor(constants, 'mantissa').index_select(0, block)
    return e >> tensor(constants, 'exponent').index_select(0, block)


def with_two_tables(constants: Constants) -> Constants:
    """Constants with two tables instead of four, for machines with slow look-ups.

    One table is indexed by the difference within a block, the other by the block; its
    entries hold mantissa and exponent in one number.

    Args:
        constants: From :class:`TableSoftmax`, with three tables.
    """
    fine, medium, mantissa, exponent = (
        tensor(constants, name) for name in ('fine', 'medium', 'mantissa', 'exponent')
    )
    return {
        'within': (medium[:, None] * fine >> _BITS).flatten().to(torch.int32),
        'block': (mantissa << _EXPONENT_BITS | exponent).to(torch.int32),
        **{k: v for k, v in constants.items() if isinstance(v, int)},
    }


def _entries(step: float) -> Tensor:
    """The entries ``exp(-step*i)`` of a fine table, int64."""
    index = torch.arange(_FINE, dtype=torch.float64)
    entries = torch.round(torch.exp(-step * index) * 2.0**_BITS).long()
    return entries.clamp_(max=2**_BITS - 1)


def _zero_block(step: float) -> int:
    """The first block whose exponentials all count as 0; at most ``_BLOCKS``."""
    return min(_BLOCKS, math.ceil(_SMALLEST * _LN2 / (step * _BLOCK)))


def _normalized(step: float, zero: int) -> tuple[Tensor, Tensor]:
    """``exp(-step*_BLOCK*i)`` as ``mantissa * 2**-(_BITS-1) >> exponent``, int64."""
    index = torch.arange(_BLOCKS, dtype=torch.float64)
    fraction, power = torch.frexp(torch.exp(-step * _BLOCK * index))
    mantissa = torch.round(fraction * 2.0**_BITS).long().clamp_(max=2**_BITS - 1)
    mantissa[zero:] = 0
    exponent = (1 - power.long()).clamp_(0, 31)
    return mantissa, exponent
