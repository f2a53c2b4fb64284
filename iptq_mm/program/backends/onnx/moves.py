"""Moves (:mod:`iptq_mm.program.ir.moves`) in ONNX's operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ...ir.moves import source_index
from .builder import Builder, Ref

_Shape = tuple[int, ...]


def move(
    b: Builder,
    kind: str,
    x: Ref,
    shape: _Shape,
    attributes: dict[str, Any],
    **index: Tensor,
) -> Ref:
    """The moved integers.

    Args:
        b: The graph.
        kind: One of ``MOVES``.
        x: Integers.
        shape: Their shape.
        attributes: Of the node.
        **index: The tensor ``index`` of a gather.
    """
    if kind in _DIRECT:
        return _DIRECT[kind](b, x, shape, **attributes)
    places = source_index(kind, shape, attributes, **index)
    return gather(b, x, places)


def gather(b: Builder, x: Ref, places: Tensor) -> Ref:
    """Elements from these positions of the flattened input, 0 where it is -1."""
    flat = b.moved('Reshape', x, b.axes([-1]))
    if int(places.min()) < 0:  # in ONNX, -1 is the last element
        flat = _with_zero(flat)
        zero = b.constant(torch.zeros(1, dtype=torch.int8), x.dtype)
        flat = b.moved('Concat', flat, zero, axis=0)
    return b.moved('Gather', flat, b.given(places, 'int32'), axis=0)


def _reshape(b: Builder, x: Ref, _: _Shape, shape: list[int]) -> Ref:
    return b.moved('Reshape', x, b.axes(shape))


def _permute(b: Builder, x: Ref, shape: _Shape, dims: list[int]) -> Ref:
    return b.moved('Transpose', x, perm=[d % len(shape) for d in dims])


def _expand(b: Builder, x: Ref, before: _Shape, shape: list[int]) -> Ref:
    missing = len(shape) - len(before)
    sizes = [before[i - missing] if n == -1 else n for i, n in enumerate(shape)]
    return b.moved('Expand', x, b.axes(sizes))


def _slice(
    b: Builder,
    x: Ref,
    shape: _Shape,
    starts: list[int],
    sizes: list[int],
    steps: list[int],
) -> Ref:
    ends = [
        a + max(0, (n - 1) * k + 1)
        for a, n, k in zip(starts, sizes, steps, strict=True)
    ]
    # A dimension that is taken whole needs no mention.
    dims = [
        d
        for d, size in enumerate(shape)
        if (starts[d], ends[d], steps[d]) != (0, size, 1)
    ]
    if not dims:
        return x
    parts = [[column[d] for d in dims] for column in (starts, ends, steps)]
    return b.moved('Slice', x, *map(b.axes, (*parts[:2], dims, parts[2])))


def _roll(b: Builder, x: Ref, shape: _Shape, shifts: list[int], dims: list[int]) -> Ref:
    for shift, dim in zip(shifts, dims, strict=True):
        size = shape[dim]
        cut = -shift % size if size else 0
        if cut:
            first, second = (
                b.moved('Slice', x, b.axes([start]), b.axes([end]), b.axes([dim]))
                for start, end in ((cut, size), (0, cut))
            )
            x = b.moved('Concat', first, second, axis=dim)
    return x


def _pad(b: Builder, x: Ref, _: _Shape, before: list[int], after: list[int]) -> Ref:
    x = _with_zero(x)
    # ONNX Runtime pads no 16-bit numbers.
    wide = b.cast(x, 'int32') if x.dtype == 'int16' else x
    return b.cast(b.moved('Pad', wide, b.axes([*before, *after])), x.dtype)


def _with_zero(x: Ref) -> Ref:
    """The same with bounds that hold 0."""
    return x._replace(low=min(x.low, 0), high=max(x.high, 0))


#: Kinds for which there are operators.
_DIRECT: dict[str, Callable[..., Ref]] = {
    'reshape': _reshape,
    'permute': _permute,
    'expand': _expand,
    'slice': _slice,
    'roll': _roll,
    'pad': _pad,
}
