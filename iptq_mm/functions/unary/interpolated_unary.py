"""Any elementwise function by linear interpolation, with segments as fine as needed."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ...intmath import QParams
from ...registry import FUNCTIONS
from ..base import Constants, FunctionSite, OperationCount, UnaryFunction
from ..fixed_point import ints, tensor
from .results import results

#: Most bits of an input: a value of 16 bits has more once a number was added to it.
_MOST_BITS = 31
#: Bits of an input that the tables tell apart; the lowest of further ones are rounded.
_TABLE_BITS = 17
#: Bits of the index of a bucket.
_BUCKET_BITS = 8
#: Fraction bits of slopes and intercepts. A position within a bucket has up to 9 bits,
#: so that rounding a slope changes the result by 1/32 at most.
_FRACTION = 13
#: Largest error of a line, in steps of the output.
_TOLERANCE = 0.25


@FUNCTIONS.register_module('interpolated_unary')
class InterpolatedUnary(UnaryFunction):
    """A function of an input of 16 bits or more, piecewise linear.

    The upper 8 bits of the input select a bucket. Each bucket is cut into segments of
    one width, a power of two: the widest with which no line is off by more than a
    quarter of an output step. So a function costs entries where it bends, whatever the
    range of its input: steep ends (a root, a reciprocal near 0) get single integers,
    asymptotes one segment a bucket. Approximating by a piecewise linear table is due to
    NN-LUT (Yu et al., arXiv 2112.02191); the buckets are this project's.
    """

    def prepare(self, site: FunctionSite) -> Constants:
        """See the base class.

        Raises:
            ValueError: If the input has more than 31 bits, or the function is
                undefined somewhere in its range.
        """
        if site.x.bits > _MOST_BITS:
            raise ValueError(
                f'InterpolatedUnary takes inputs of at most {_MOST_BITS} bits, not '
                f'{site.x.bits}'
            )
        drop = max(0, site.x.bits - _TABLE_BITS)
        half = (1 << drop) >> 1
        first, last = (site.x.qmin + half) >> drop, (site.x.qmax + half) >> drop
        x = QParams(site.x.scale * 2.0**drop, min(first, 0), max(last, 0))
        site = replace(site, x=x)
        low_bits = max(0, x.bits - _BUCKET_BITS)
        width = 1 << low_bits
        buckets = -(-(x.qmax - x.qmin + 1) // width)
        # One more result: the end of the last segment.
        values = results(self, site, x.qmin, buckets * width + 1)
        step, cut, base = _segments(values, buckets, low_bits)
        one = 2.0**_FRACTION
        start = torch.arange(buckets * width).view(buckets, width)
        begins = torch.cat([start[i, ::s] for i, s in enumerate(step)])
        ends = torch.cat([start[i, ::s] + s for i, s in enumerate(step)])
        slope = (values[ends] - values[begins]) / (ends - begins)
        slope = torch.round(slope * one)
        # Relative to the start of the bucket, the half of the rounding included.
        intercept = torch.round(values[begins] * one)
        intercept = intercept - slope * (begins % width)
        return {
            'drop': drop,
            'first': x.qmin,
            'low_bits': low_bits,
            'cut': cut,
            'base': base,
            'slope': slope.long(),
            'intercept': intercept.long() + (1 << (_FRACTION - 1)),
        }

    def integer(self, q: Tensor, constants: Constants) -> Tensor:
        """See the base class."""
        drop, first, low_bits = ints(constants, 'drop', 'first', 'low_bits')
        slope, intercept = (tensor(constants, n) for n in ('slope', 'intercept'))
        x = q.long().flatten()
        if drop:
            x = (x + (1 << (drop - 1))) >> drop
        x = x - first
        bucket = x >> low_bits
        x = x & ((1 << low_bits) - 1)
        segment = x >> tensor(constants, 'cut').index_select(0, bucket)
        segment = segment + tensor(constants, 'base').index_select(0, bucket)
        # It is none beyond the last; so much is not known without knowing the tables.
        segment = segment.clamp(max=len(slope) - 1)
        total = x * slope.index_select(0, segment)
        total = total + intercept.index_select(0, segment)
        return (total >> _FRACTION).view(q.shape)

    def operations(self, row: int) -> OperationCount:
        """See the base class."""
        return OperationCount(add=5, mul=1, shift=3, lookup=4)


def _segments(
    values: Tensor, buckets: int, low_bits: int
) -> tuple[list[int], Tensor, Tensor]:
    """Width of the segments of each bucket, its logarithm, and the first segment.

    Args:
        values: Results at all integers, and one more, shape (buckets * 2**low_bits +
            1,).
        buckets: How many there are.
        low_bits: Bits of a position within a bucket.
    """
    cut = torch.zeros(buckets, dtype=torch.int64)
    for bits in range(1, low_bits + 1):
        width = 1 << bits
        parts = values.unfold(0, width + 1, width)
        share = torch.arange(width + 1, dtype=torch.float64) / width
        lines = parts[:, :1] + (parts[:, -1:] - parts[:, :1]) * share
        good = ((lines - parts).abs().amax(-1) <= _TOLERANCE).view(buckets, -1).all(-1)
        # Only where all narrower ones are good, too: the width is then the widest of
        # a row of good ones.
        cut = torch.where(good & (cut == bits - 1), bits, cut)
    count = (1 << low_bits) >> cut
    return (1 << cut).tolist(), cut, count.cumsum(0) - count
