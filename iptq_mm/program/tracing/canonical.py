"""From torch's many functions that move elements to the kinds of ``ir.moves``.

The function runs on a tensor without data. If the result is a view of that tensor, its
strides determine the move, whatever the name of the function.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._pytree import tree_map

from ...utils.trees import tree_leaves


class Move(NamedTuple):
    """A move that becomes a node.

    Attributes:
        kind: One of :data:`~iptq_mm.program.ir.moves.MOVES`.
        attributes: Attributes of the node.
        shape: Shape of its output.
        positions: Index of a gather; None: it is another move.
    """

    kind: str
    attributes: dict[str, Any]
    shape: tuple[int, ...]
    positions: Tensor | None = None


def canonical_moves(
    func: Callable, shape: Sequence[int], args: tuple, kwargs: dict
) -> list[list[Move]]:
    """The moves that a torch function makes.

    Args:
        func: A function that only moves elements.
        shape: Shape of the tensor, its first argument.
        args: The other arguments.
        kwargs: Keyword arguments.

    Returns:
        For each tensor that the function returns, the moves that make it, one after
        the other; no moves if it is the argument itself.
    """
    shape = tuple(shape)
    if func in (torch.roll, Tensor.roll):
        return [_roll(shape, *args, **kwargs)]
    if func is F.pad:
        return [_pad(shape, *args, **kwargs)]
    if not any(isinstance(x, Tensor) for x in tree_leaves((args, kwargs))):
        x = torch.empty(shape, device='meta')
        results = _tensors(func(x, *args, **kwargs))
        if all(_shares_memory(x, r) for r in results):
            return [view_moves(shape, r) for r in results]
    args, kwargs = tree_map(_on_cpu, (args, kwargs))
    places = torch.arange(1, math.prod(shape) + 1).view(shape)
    return [_gather(shape, r - 1) for r in _tensors(func(places, *args, **kwargs))]


def view_moves(shape: tuple[int, ...], view: Tensor) -> list[Move]:
    """The moves that make a view of a contiguous tensor of this shape."""
    sizes, strides = tuple(view.shape), view.stride()
    offset = int(view.storage_offset())
    if view.numel() == math.prod(shape):
        if offset == 0 and view.is_contiguous():
            return _reshape(shape, sizes)
        dims = _permutation(shape, sizes, strides)
        if offset == 0 and dims is not None:
            return [Move('permute', {'dims': dims}, sizes)]
    single = tuple(1 if s == 0 else n for n, s in zip(sizes, strides, strict=True))
    if single != sizes:
        before = view_moves(shape, view.as_strided(single, strides, offset))
        return [*before, Move('expand', {'shape': list(sizes)}, sizes)]
    part = _slice(shape, sizes, strides, offset)
    if part is not None:
        return [part, *_reshape(part.shape, sizes)]
    attributes = {'shape': list(sizes), 'strides': list(strides), 'offset': offset}
    return [Move('strided', attributes, sizes)]


def _reshape(shape: tuple[int, ...], wanted: tuple[int, ...]) -> list[Move]:
    if shape == wanted:
        return []
    return [Move('reshape', {'shape': list(wanted)}, wanted)]


def _permutation(
    shape: tuple[int, ...], sizes: tuple[int, ...], strides: tuple[int, ...]
) -> list[int] | None:
    """For each dimension of a view, the dimension of the tensor that it is, if any."""
    if len(shape) != len(sizes):
        return None
    natural = _contiguous_strides(shape)
    # Dimensions of size 1 are interchangeable: they are taken in order.
    pairs = zip(shape, natural, strict=True)
    left = {d: (n, s if n > 1 else 1) for d, (n, s) in enumerate(pairs)}
    dims = []
    for n, stride in zip(sizes, strides, strict=True):
        wanted = (n, stride if n > 1 else 1)
        d = next((d for d, found in left.items() if found == wanted), None)
        if d is None:
            return None
        del left[d]
        dims.append(d)
    return dims


def _slice(
    shape: tuple[int, ...],
    sizes: tuple[int, ...],
    strides: tuple[int, ...],
    offset: int,
) -> Move | None:
    """A view of a contiguous tensor as a slice, if it is one."""
    natural = _contiguous_strides(shape)
    starts = []
    for stride in natural:
        starts.append(offset // stride if stride else 0)
        offset -= starts[-1] * stride
    counts, steps, d = [1] * len(shape), [1] * len(shape), 0
    for n, stride in zip(sizes, strides, strict=True):
        if n == 1:
            continue
        # The dimension is the first one that is not more than one step wide.
        while d < len(shape) and (natural[d] > stride or shape[d] == 1):
            d += 1
        if d == len(shape) or stride % natural[d]:
            return None
        counts[d], steps[d] = n, stride // natural[d]
        if starts[d] + (n - 1) * steps[d] >= shape[d]:
            return None
        d += 1
    attributes = {'starts': starts, 'sizes': counts, 'steps': steps}
    return Move('slice', attributes, tuple(counts))


def _roll(
    shape: tuple[int, ...], shifts: Any, dims: Any = None, **kwargs: Any
) -> list[Move]:
    shifts = [shifts] if isinstance(shifts, int) else list(shifts)
    if dims is None or dims == ():
        return _gather(shape, torch.arange(math.prod(shape)).roll(shifts).view(shape))
    dims = [dims] if isinstance(dims, int) else list(dims)
    attributes = {
        'shifts': [int(n) for n in shifts],
        'dims': [d % len(shape) for d in dims],
    }
    return [Move('roll', attributes, shape)]


def _pad(
    shape: tuple[int, ...], pad: Sequence[int], mode: str = 'constant', value: Any = 0
) -> list[Move]:
    """Zeros around a tensor; a negative number removes elements instead."""
    if mode != 'constant' or value:
        raise ValueError(f'padding in mode {mode} with {value} is no move')
    missing = [0] * (2 * len(shape) - len(pad))
    pairs = [int(n) for n in (*pad, *missing)]
    before, after = pairs[0::2][::-1], pairs[1::2][::-1]
    if not any(pairs):
        return []
    if min(pairs) < 0:
        places = torch.arange(1, math.prod(shape) + 1).view(shape)
        return _gather(shape, F.pad(places, pairs) - 1)
    sizes = tuple(map(sum, zip(shape, before, after, strict=True)))
    return [Move('pad', {'before': before, 'after': after}, sizes)]


def _gather(shape: tuple[int, ...], source: Tensor) -> list[Move]:
    """Any move, by the source position of each element."""
    wanted, index = tuple(source.shape), source.flatten()
    count = math.prod(shape)
    if len(index) == count and torch.equal(index, torch.arange(count)):
        return _reshape(shape, wanted)
    attributes = {'shape': list(wanted), 'zeros': bool((index < 0).any())}
    dtype = torch.int32 if count < 2**31 else torch.int64
    return [Move('gather', attributes, wanted, index.to(dtype))]


def _contiguous_strides(shape: tuple[int, ...]) -> list[int]:
    return [math.prod(shape[d + 1 :]) for d in range(len(shape))]


def _tensors(result: Any) -> list[Tensor]:
    return [t for t in tree_leaves(result) if isinstance(t, Tensor)]


def _shares_memory(x: Tensor, other: Tensor) -> bool:
    return x.untyped_storage()._cdata == other.untyped_storage()._cdata


def _on_cpu(x: Any) -> Any:
    return x.cpu() if isinstance(x, Tensor) else x
