"""Copies: where a kernel needs integers in another layout or storage."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ....native.commands import Add, Copy, Gather
from ....native.fields import DIMS
from ....native.storage import Storage, storage_of
from .context import EmitterContext
from .layout.address_map import AddressMap, ReshapedMap, common_strides
from .layout.reorder import reorder_rows
from .layout.steps import Address, Step
from .layout.tensor_ref import TensorRef, collapsed, contiguous

#: From so many adjacent elements on, an inner loop over them is worth it.
_RUN = 8


def padded_shape(sizes: list[int]) -> list[int]:
    """Sizes as commands have them: ``DIMS`` of them, leading ones added."""
    return [1] * (DIMS - len(sizes)) + sizes


def view(x: TensorRef, strides: list[int]) -> dict:
    """Fields of a ``View`` with these strides, leading zeros added."""
    return {
        'data': x.address,
        'type': x.storage.type,
        'zero_point': x.storage.zero_point,
        'stride': [0] * (DIMS - len(strides)) + strides,
    }


def identity(low: int = -(2**31), high: int = 2**31 - 1) -> dict:
    """Fields of a ``Sum`` that only clamps."""
    return {'left': 1, 'right': 0, 'offset': 0, 'shift': 0, 'low': low, 'high': high}


def dense(context: EmitterContext, x: TensorRef) -> TensorRef:
    """The same integers, contiguous: ``x`` itself, or a copy."""
    return x if x.is_contiguous else copied(context, x, x.storage)


def stored(context: EmitterContext, x: TensorRef, storage: Storage) -> TensorRef:
    """The same integers, contiguous and in a storage: ``x`` itself, or a copy."""
    if x.storage == storage:
        return dense(context, x)
    return copied(context, x, storage)


def rows(context: EmitterContext, x: TensorRef) -> tuple[TensorRef, int]:
    """The same integers as rows of contiguous elements at equal distances.

    Returns:
        ``x`` itself or a copy, and the distance between rows, in elements.
    """
    size = x.shape[-1] if x.shape else 1
    distance = row_distance(x)
    return (dense(context, x), size) if distance is None else (x, distance)


def row_distance(x: TensorRef) -> int | None:
    """The distance between rows of contiguous elements; None if it is not one."""
    if x.address_map is not None or not x.shape:
        return None
    if x.shape[-1] != 1 and x.strides[-1] != 1:
        return None
    sizes, (strides,) = collapsed(x.shape[:-1], [x.strides[:-1]])
    if sizes == [1]:
        return x.shape[-1]
    return strides[0] if len(sizes) == 1 and strides[0] > 0 else None


def as_torch(context: EmitterContext, value: int, pinned: bool = False) -> TensorRef:
    """A value as torch would store it: contiguous, in its dtype, zero point 0.

    Args:
        context: The context.
        value: Number of the value.
        pinned: Whether it is an output, which has a buffer of its own.
    """
    x, kept = context.refs[value], storage_of(context.program.values[value].dtype)
    if x.storage == kept and x.is_contiguous and x.offset == 0 and not pinned:
        return x
    return copied(context, x, kept, pinned)


def copied(
    context: EmitterContext, x: TensorRef, storage: Storage, pinned: bool = False
) -> TensorRef:
    """A contiguous copy in another storage.

    Args:
        context: The context.
        x: What to copy.
        storage: Storage of the copy.
        pinned: Whether it is an output: see :class:`.layout.steps.Buffer`.
    """
    ordered = x.address_map is not None or x.has_dense_rows
    if ordered and storage == x.storage and not pinned:
        reordered = reorder_rows(x)
        if reordered is not None:
            return reordered
    out = TensorRef.new(storage, x.shape, pinned)
    loops = _loops(x, out)
    if loops is None:
        gathered = _gathered(context, x)
        if storage == x.storage and not pinned:
            return gathered
        return copied(context, gathered, storage, pinned)
    sizes, (given, made), offset = loops
    _best_last(sizes, given, made)
    source = replace(x, offset=offset, address_map=None)
    fields = {
        'shape': padded_shape(sizes),
        'out': view(out, made),
        'a': view(source, given),
    }
    if storage == x.storage:
        step = Step(Copy, {**fields, 'size': storage.size}, copies=True)
    else:
        step = Step(Add, {**fields, 'sum': identity()}, copies=True)
    context.append(step)
    return out


def _loops(
    x: TensorRef, out: TensorRef
) -> tuple[list[int], list[list[int]], int] | None:
    """Sizes and strides of the loops of a copy, and the offset of ``x``.

    None if they are more than a command has, or strides cannot express them.
    """
    if x.address_map is None:
        sizes, strides = collapsed(x.shape, [x.strides, out.strides])
        return None if len(sizes) > DIMS else (sizes, strides, x.offset)
    if isinstance(x.address_map, ReshapedMap):
        source = x.address_map.source
        sizes, strides = collapsed(
            source.shape, [source.strides, contiguous(source.shape)]
        )
        return None if len(sizes) > DIMS else (sizes, strides, source.offset)
    axis, offsets = x.address_map.axis, x.address_map.offsets
    shape = tuple(offsets.shape)
    made = AddressMap.by_strides(shape, out.strides, 0).of_elements()
    # The shared axis is the last loop.
    flat = offsets.flatten()
    common = common_strides([flat, made.flatten()])
    if common is None:
        return None
    sizes, strides = common
    if axis is not None:
        sizes.append(x.address_map.size)
        strides[0].append(1)
        strides[1].append(out.strides[axis])
    if not sizes:
        sizes, strides = [1], [[0], [0]]
    return None if len(sizes) > DIMS else (sizes, strides, int(flat[0]))


def _best_last(sizes: list[int], given: list[int], made: list[int]) -> None:
    """Reorder loops in place, the best inner loop last.

    The inner loop is dense in the copy, or else in the source, or else the longest. In
    a transposition, the loop that is dense in the source comes just before it: the
    kernel works on blocks of both.
    """
    loops = range(len(sizes))
    into = [d for d in loops if made[d] == 1 and sizes[d] >= _RUN]
    outof = [d for d in loops if given[d] == 1 and sizes[d] >= _RUN]
    longest = max(loops, key=lambda d: sizes[d])
    last = (into or outof or [longest])[0]
    order = [d for d in loops if d != last and d not in outof[:1]]
    order += [d for d in outof[:1] if d != last]
    for items in (sizes, given, made):
        items[:] = [items[d] for d in [*order, last]]


def _gathered(context: EmitterContext, x: TensorRef) -> TensorRef:
    """A copy by an address map, as many adjacent elements at a time as it allows."""
    out = TensorRef.new(x.storage, x.shape)
    source = x.as_address_map()
    if source.axis == len(x.shape) - 1:
        run, starts = source.size, source.offsets.flatten().contiguous()
    else:
        single = source.of_elements()
        run = run_length(single)
        starts = single.flatten()[::run].contiguous()
    step = Step(
        Gather,
        {
            'a': Address(x.buffer),
            'out': out.address,
            'runs_from': torch.where(starts < 0, -1, starts * x.storage.size),
            'last': max(0, int(starts.max())) * x.storage.size,
            'runs': len(starts),
            'size': run * x.storage.size,
            'element': x.storage.size,
            'zero_point': x.storage.zero_point,
        },
        copies=True,
    )
    context.append(step)
    return out


def run_length(offsets: Tensor) -> int:
    """Into runs of how many elements, adjacent or all zeros, offsets can be cut."""
    flat = offsets.flatten()
    run = 1
    for n in reversed(offsets.shape):
        table = flat.view(-1, run * n)
        steps = table.diff(dim=1)
        together = (steps == 1) & (table[:, 1:] > 0)
        if not bool((together | ((table[:, 1:] < 0) & (table[:, :1] < 0))).all()):
            return run
        run *= n
    return run
