"""Copies: integers side by side, in another order or kept otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .commands import DIMS, Affine, Copy, Gather
from .layout import Located, Storage, as_strides, collapsed, contiguous
from .reorder import reorder_rows
from .steps import At, Step

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
        'base': x.storage.base,
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
    source = _by_strides(x)
    if source is None:
        gathered = _gathered(compiler, x)
        if storage == x.storage and not pinned:
            return gathered
        return copied(compiler, gathered, storage, pinned)
    out = Located.new(storage, x.shape, pinned)
    sizes, given, offset = source
    made = _best_last(sizes, given)
    place = replace(x, offset=offset, positions=None)
    fields = {
        'shape': padded_shape(sizes),
        'out': view(out, made),
        'a': view(place, given),
    }
    if storage == x.storage:
        step = Step(Copy, {**fields, 'size': storage.size})
    else:
        step = Step(Affine, {**fields, 'sum': identity()})
    compiler.steps.append(step)
    return out


def _by_strides(x: Located) -> tuple[list[int], list[int], int] | None:
    """Sizes, strides and offset of the elements in order, if a command can."""
    if x.positions is not None:
        simple = as_strides(x.positions)
    else:
        sizes, (strides,) = collapsed(x.shape, [x.strides])
        simple = sizes, strides, x.offset
    return simple if simple is None or len(simple[0]) <= DIMS else None


def _best_last(sizes: list[int], given: list[int]) -> list[int]:
    """Puts the dimension that runs best last, in place.

    Returns:
        The strides of the contiguous copy, in the new order.
    """
    made = list(contiguous(tuple(sizes)))
    if len(sizes) > 1 and sizes[-1] < _RUN:
        alone = [d for d, n in enumerate(sizes) if given[d] == 1 and n >= _RUN]
        best = alone[0] if alone else max(range(len(sizes)), key=lambda d: sizes[d])
        for items in (sizes, given, made):
            items.append(items.pop(best))
    return made


def _gathered(compiler: Compiler, x: Located) -> Located:
    """A copy by positions, as many elements at a time as lie side by side."""
    out = Located.new(x.storage, x.shape)
    run = run_length(x.places())
    starts = x.places().flatten()[::run].contiguous()
    step = Step(
        Gather,
        {
            'a': At(x.buffer),
            'out': out.at,
            'runs_from': torch.where(starts < 0, -1, starts * x.storage.size),
            'runs': len(starts),
            'size': run * x.storage.size,
            'element': x.storage.size,
            'zero': -x.storage.base,
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
