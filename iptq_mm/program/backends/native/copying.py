"""Copies: integers side by side, in another order or kept otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ....native.commands import Add, Copy, Gather
from ....native.fields import DIMS
from ....native.storage import Storage
from .layout.located import Located, collapsed
from .layout.positions import Positions, common_strides
from .layout.reorder import reorder_rows
from .layout.steps import At, Step

if TYPE_CHECKING:
    from .compiler import Compiler

#: Elements that are worth a run of their own.
_RUN = 8


def padded_shape(sizes: list[int]) -> list[int]:
    """Sizes as a command has them, leading ones added."""
    return [1] * (DIMS - len(sizes)) + sizes


def view(x: Located, strides: list[int]) -> dict:
    """Fields of a ``View`` with the strides of a collapsed shape."""
    return {
        'data': x.at,
        'type': x.storage.type,
        'zero_point': x.storage.zero_point,
        'stride': [0] * (DIMS - len(strides)) + strides,
    }


def identity(low: int = -(2**31), high: int = 2**31 - 1) -> dict:
    """Fields of a ``Sum`` that changes nothing."""
    return {'left': 1, 'right': 0, 'offset': 0, 'shift': 0, 'low': low, 'high': high}


def copied(
    compiler: Compiler, x: Located, storage: Storage, pinned: bool = False
) -> Located:
    """Contiguous integers, kept as ``storage`` says."""
    if x.positions is not None and storage == x.storage and not pinned:
        reordered = reorder_rows(x)
        if reordered is not None:
            return reordered
    out = Located.new(storage, x.shape, pinned)
    loops = _loops(x, out)
    if loops is None:
        gathered = _gathered(compiler, x)
        if storage == x.storage and not pinned:
            return gathered
        return copied(compiler, gathered, storage, pinned)
    sizes, (given, made), offset = loops
    _best_last(sizes, given, made)
    place = replace(x, offset=offset, positions=None)
    fields = {
        'shape': padded_shape(sizes),
        'out': view(out, made),
        'a': view(place, given),
    }
    if storage == x.storage:
        step = Step(Copy, {**fields, 'size': storage.size})
    else:
        step = Step(Add, {**fields, 'sum': identity()})
    compiler.steps.append(step)
    return out


def _loops(x: Located, out: Located) -> tuple[list[int], list[list[int]], int] | None:
    """Sizes and strides of both, and the offset of ``x``, if a command can."""
    if x.positions is None:
        sizes, strides = collapsed(x.shape, [x.strides, out.strides])
        return None if len(sizes) > DIMS else (sizes, strides, x.offset)
    axis, starts = x.positions.axis, x.positions.starts
    shape = tuple(starts.shape)
    made = Positions.by_strides(shape, out.strides, 0).single()
    # The shared axis is the last loop.
    common = common_strides([starts.flatten(), made.flatten()])
    if common is None:
        return None
    sizes, strides = common
    if axis is not None:
        sizes.append(x.positions.size)
        strides[0].append(1)
        strides[1].append(out.strides[axis])
    if not sizes:
        sizes, strides = [1], [[0], [0]]
    return None if len(sizes) > DIMS else (sizes, strides, int(starts.flatten()[0]))


def _best_last(sizes: list[int], given: list[int], made: list[int]) -> None:
    """Puts the dimensions that run best last, in place.

    The last one is dense in the result, or in what is given if that runs longer. A
    transposition has the other one before it: the kernel works on blocks of these.
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


def _gathered(compiler: Compiler, x: Located) -> Located:
    """A copy by positions, as many elements at a time as lie side by side."""
    out = Located.new(x.storage, x.shape)
    places = x.places()
    if places.axis == len(x.shape) - 1:
        run, starts = places.size, places.starts.flatten().contiguous()
    else:
        single = places.single()
        run = run_length(single)
        starts = single.flatten()[::run].contiguous()
    step = Step(
        Gather,
        {
            'a': At(x.buffer),
            'out': out.at,
            'runs_from': torch.where(starts < 0, -1, starts * x.storage.size),
            'runs': len(starts),
            'size': run * x.storage.size,
            'element': x.storage.size,
            'zero_point': x.storage.zero_point,
        },
    )
    compiler.steps.append(step)
    return out


def run_length(positions: Tensor) -> int:
    """Elements that lie side by side (or are zeros) throughout."""
    flat = positions.flatten()
    run = 1
    for n in reversed(positions.shape):
        table = flat.view(-1, run * n)
        steps = table.diff(dim=1)
        together = (steps == 1) & (table[:, 1:] > 0)
        if not bool((together | ((table[:, 1:] < 0) & (table[:, :1] < 0))).all()):
            return run
        run *= n
    return run
