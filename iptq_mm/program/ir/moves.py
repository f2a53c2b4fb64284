"""Moves: nodes that move integers without changing them, in eight canonical kinds.

========  =======================  ===============================================
kind      attributes               what the output is (input contiguous)
========  =======================  ===============================================
reshape   shape                    the same elements in the same order
permute   dims                     dimension i is the input's ``dims[i]``
expand    shape                    dimensions of size 1 repeated
slice     starts, sizes, steps     a part, by dimension; steps are at least 1
strided   shape, strides, offset   a view that may hold elements several times
roll      shifts, dims             shifted around
pad       before, after            zeros around, by dimension
gather    shape, zeros             element i is the input's ``index[i]``; the index
                                   (a tensor, -1 for 0 where ``zeros``) is the
                                   constant ``index``
========  =======================  ===============================================

A back end need not know the kinds: :func:`source_index` gives the source of each output
element, and :func:`strided_view` the output as a view of the input, if it is one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def _slice(x: Tensor, starts: list[int], sizes: list[int], steps: list[int]) -> Tensor:
    parts = zip(starts, sizes, steps, strict=True)
    return x[tuple(slice(a, a + max(0, (n - 1) * k + 1), k) for a, n, k in parts)]


def _strided(x: Tensor, shape: list[int], strides: list[int], offset: int) -> Tensor:
    x = x.contiguous()  # it may begin anywhere in its memory
    return x.as_strided(shape, strides, int(x.storage_offset()) + offset)


def _pad(x: Tensor, before: list[int], after: list[int]) -> Tensor:
    pairs = zip(reversed(before), reversed(after), strict=True)
    return torch.constant_pad_nd(x, [n for pair in pairs for n in pair], 0)


def _gather(x: Tensor, shape: list[int], zeros: bool, index: Tensor) -> Tensor:
    flat = x.reshape(-1)
    if not zeros:
        return flat.index_select(0, index).view(shape)
    moved = flat.index_select(0, index.clamp_min(0))
    return moved.masked_fill(index < 0, 0).view(shape)


#: Kind -> function of the input and the attributes (and the constants).
MOVES: dict[str, Callable[..., Tensor]] = {
    'reshape': lambda x, shape: x.reshape(shape),
    'permute': lambda x, dims: x.permute(dims),
    'expand': lambda x, shape: x.expand(shape),
    'slice': _slice,
    'strided': _strided,
    'roll': lambda x, shifts, dims: torch.roll(x, shifts, dims),
    'pad': _pad,
    'gather': _gather,
}


def move(kind: str, x: Tensor, attributes: dict[str, Any], **index: Tensor) -> Tensor:
    """The moved integers, a view where torch can make one.

    Args:
        kind: One of :data:`MOVES`.
        x: Integers.
        attributes: Of the node.
        **index: The tensor ``index`` of a gather.
    """
    return MOVES[kind](x, **attributes, **index)


def source_index(
    kind: str, shape: tuple[int, ...], attributes: dict[str, Any], **index: Tensor
) -> Tensor:
    """The source of each element of the output.

    Args:
        kind: One of :data:`MOVES`.
        shape: Shape of the input.
        attributes: Of the node.
        **index: The tensor ``index`` of a gather.

    Returns:
        int64, the shape of the output: positions in the flattened contiguous input,
        -1 for a zero that padding made.
    """
    places = torch.arange(1, math.prod(shape) + 1).view(shape)
    return move(kind, places, attributes, **index) - 1


def strided_view(
    kind: str, shape: tuple[int, ...], attributes: dict[str, Any]
) -> tuple[tuple[int, ...], tuple[int, ...], int] | None:
    """The output as a view of the contiguous input, if it is one.

    Returns:
        Shape, strides in elements and offset; None for roll, pad and gather.
    """
    if kind in ('roll', 'pad', 'gather'):
        return None
    view = move(kind, torch.empty(shape, device='meta'), attributes)
    return tuple(view.shape), view.stride(), int(view.storage_offset())
