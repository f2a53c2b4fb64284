"""What aten operations that move or add up elements make of facts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx

from .elementwise import SAME_ORDER
from .facts import Fact, numel, shape_of, terms_of
from .interval import Interval, Unproven

_aten = torch.ops.aten


class Gathered(NamedTuple):
    """What is known of a result.

    Attributes:
        interval: Holds its elements.
        partial: Holds every sum of some of the terms of an element, in any order;
            None where nothing is added up.
    """

    interval: Interval
    partial: Interval | None = None


def _first(node: fx.Node, x: Fact, *args: Any) -> Gathered:
    return Gathered(x.interval)


def _as_strided(
    node: fx.Node,
    x: Fact,
    size: Sequence[int],
    stride: Sequence[int],
    offset: int | None = None,
) -> Gathered:
    memory: Any = node.args[0]
    made = memory.meta['val']
    if not made.is_contiguous() or made.storage_offset():
        raise Unproven('a view of what is a view itself')
    ends = [(n - 1) * step for n, step in zip(size, stride, strict=True)]
    places = Interval(0, sum(ends)) + Interval.point(offset or 0)
    if 0 not in size and not 0 <= places.low <= places.high < numel(memory):
        raise Unproven(f'places in {places} of {numel(memory)} elements')
    return Gathered(x.interval)


def _pad(
    node: fx.Node, x: Fact, pad: Sequence[int], value: int = 0, *args: Any
) -> Gathered:
    return Gathered(x.interval.join(Interval.point(int(value))))


def _cat(node: fx.Node, parts: Sequence[Fact], dim: int = 0) -> Gathered:
    interval = parts[0].interval
    for part in parts[1:]:
        interval = interval.join(part.interval)
    return Gathered(interval)


def _index_select(node: fx.Node, x: Fact, dim: int, index: Fact) -> Gathered:
    size = shape_of(node.args[0])[dim]
    return Gathered(looked_up(x, size, index.interval, dim))


def looked_up(table: Fact, size: int, index: Interval, dim: int = 0) -> Interval:
    """Entries of a table that an index may choose.

    Raises:
        Unproven: If the index may lie outside.
    """
    if not 0 <= index.low <= index.high < size:
        raise Unproven(f'an index in {index} into {size} entries')
    if table.tensor is None:
        return table.interval
    length = index.high - index.low + 1
    return Interval.of_tensor(table.tensor.narrow(dim, index.low, length))


def _sum(
    node: fx.Node, x: Fact, dims: Sequence[int] | None = None, keepdim: bool = False
) -> Gathered:
    total = x.interval * Interval.point(terms_of(node))
    return Gathered(total, total.join(x.interval))


def _mm(node: fx.Node, a: Fact, b: Fact) -> Gathered:
    if b.tensor is not None and b.tensor.dim() == 2:
        return _weighted(a.interval, b.tensor.t())
    if a.tensor is not None and a.tensor.dim() == 2:
        return _weighted(b.interval, a.tensor)
    terms = shape_of(node.args[0])[-1]
    product = a.interval * b.interval
    reach = product.join(Interval.point(0)) * Interval.point(terms)
    return Gathered(reach, reach)


def _convolution(
    node: fx.Node,
    x: Fact,
    weight: Fact,
    bias: Any,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Gathered:
    if bias is not None or weight.tensor is None:
        raise Unproven('a convolution with a bias, or by no known weight')
    rows = weight.tensor
    if transposed:  # (in, out / groups, ...): what reaches an output channel
        rows = rows.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
    return _weighted(x.interval, rows.flatten(1))


def _weighted(x: Interval, weight: Tensor) -> Gathered:
    """Sums of ``x`` times the rows of a weight, and of any of their terms.

    Raises:
        Unproven: If 64 bits do not hold the sums of the weight itself.
    """
    if Interval.of_tensor(weight).bound * weight.shape[1] >= 2**63:
        raise Unproven('the sums of a weight leave 64 bits')
    x = x.join(Interval.point(0))  # what padding adds, and what is left out
    up = weight.clamp_min(0).sum(1, dtype=torch.int64).tolist()
    down = (-weight.long()).clamp_min(0).sum(1).tolist()
    pairs = list(zip(up, down, strict=True))
    low = min((p * x.low - n * x.high for p, n in pairs), default=0)
    high = max((p * x.high - n * x.low for p, n in pairs), default=0)
    return Gathered(Interval(low, high), Interval(low, high))


#: Operations whose elements are those of their first argument, in another order.
_MOVES = (
    _aten.expand.default,
    _aten.flip.default,
    _aten.permute.default,
    _aten.roll.default,
    _aten.select.int,
    _aten.slice.Tensor,
    _aten.t.default,
    _aten.transpose.int,
    _aten.amax.default,
    _aten.amin.default,
)

#: Operation -> from the node and its arguments to what is known of the result.
COLLECTIVE: dict[Any, Callable[..., Gathered]] = {
    **dict.fromkeys((*SAME_ORDER, *_MOVES), _first),
    _aten.as_strided.default: _as_strided,
    _aten.bmm.default: _mm,
    _aten.cat.default: _cat,
    _aten.constant_pad_nd.default: _pad,
    _aten.convolution.default: _convolution,
    _aten.index_select.default: _index_select,
    _aten.mm.default: _mm,
    _aten.sum.dim_IntList: _sum,
}

#: Products, whose sums the fast path relies on, too.
PRODUCTS = frozenset({_aten.bmm.default, _aten.convolution.default, _aten.mm.default})
