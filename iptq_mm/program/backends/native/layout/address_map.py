"""Address maps: for each element of a value its place in a buffer.

They describe layouts that strides cannot express: rolled, padded, gathered or flattened
after a permutation. Most moves keep the channels of a pixel or token together; the map
then has one entry for all of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ....ir.moves import move

#: Steps that are looked at first: most runs are short.
_LOOK = 64


class Strided(NamedTuple):
    """A tensor by strides, in elements."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int


@dataclass(frozen=True)
class AddressMap:
    """The offset in a buffer, in elements, of each element of a value.

    Attributes:
        offsets: int64, of the shape of the value, but of size 1 in dimension ``axis``:
            the offset of the first element along it, -1 where all of them are zero
            and lie nowhere.
        axis: The dimension along which elements are adjacent in the buffer; None:
            ``offsets`` has every element.
        size: Elements along ``axis``.
    """

    offsets: Tensor
    axis: int | None = None
    size: int = 1

    @classmethod
    def by_strides(
        cls, shape: tuple[int, ...], strides: tuple[int, ...], offset: int
    ) -> AddressMap:
        """The map of a strided tensor."""
        dense = [d for d, n in enumerate(shape) if strides[d] == 1 and n > 1]
        axis = max(dense, key=lambda d: shape[d], default=None)
        offsets = torch.tensor(offset)
        for d, (n, stride) in enumerate(zip(shape, strides, strict=True)):
            steps = torch.arange(1 if d == axis else n) * stride
            offsets = offsets[..., None] + steps
        return cls(offsets, axis, 1 if axis is None else shape[axis])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the value."""
        shape = list(self.offsets.shape)
        if self.axis is not None:
            shape[self.axis] = self.size
        return tuple(shape)

    def of_elements(self) -> Tensor:
        """The offset of every single element, int64, -1 for zeros."""
        if self.axis is None:
            return self.offsets
        after = self.offsets.ndim - self.axis - 1
        steps = torch.arange(self.size).view(-1, *[1] * after)
        return torch.where(self.offsets < 0, -1, self.offsets + steps)

    def moved(
        self, kind: str, attributes: dict[str, Any], **index: Tensor
    ) -> AddressMap:
        """The map after a move."""
        kept = self._along(kind, attributes)
        if kept is None:
            return AddressMap(_moved(self.of_elements(), kind, attributes, **index))
        changed, axis = kept
        offsets = _moved(self.offsets, kind, changed, **index)
        return AddressMap(offsets, axis, self.size)

    def _along(
        self, kind: str, attributes: dict[str, Any]
    ) -> tuple[dict[str, Any], int] | None:
        """The move's attributes for ``offsets``, and where ``axis`` goes.

        None: elements along the axis are not adjacent any more.
        """
        a, axis, shape = dict(attributes), self.axis, self.shape
        if axis is None:
            return None
        if kind == 'permute':
            return a, [d % len(shape) for d in a['dims']].index(axis)
        if kind == 'roll':
            return None if axis in (d % len(shape) for d in a['dims']) else (a, axis)
        if kind == 'pad':
            return None if a['before'][axis] or a['after'][axis] else (a, axis)
        if kind == 'slice':
            if (a['sizes'][axis], a['starts'][axis]) != (shape[axis], 0):
                return None
            return {**a, 'sizes': _replaced(a['sizes'], axis)}, axis
        if kind == 'expand':
            axis += len(a['shape']) - len(shape)
            return {'shape': _replaced(a['shape'], axis)}, axis
        if kind == 'reshape':
            found = _same_dimension(shape, axis, list(a['shape']))
            if found is not None:
                return {'shape': _replaced(a['shape'], found)}, found
        return None


class ReshapedMap:
    """The map of a reshape of a strided tensor, made when it is first asked for.

    A copy needs no map: its loops are those of the strided tensor.

    Args:
        source: The strided tensor.
        shape: Shape of the value.

    Attributes:
        source: See above.
        shape: See above.
    """

    def __init__(self, source: Strided, shape: tuple[int, ...]) -> None:
        self.source, self.shape = source, shape

    @cached_property
    def made(self) -> AddressMap:
        """The map."""
        strided = AddressMap.by_strides(*self.source)
        return strided.moved('reshape', {'shape': list(self.shape)})

    @property
    def offsets(self) -> Tensor:
        """See :class:`AddressMap`."""
        return self.made.offsets

    @property
    def axis(self) -> int | None:
        """See :class:`AddressMap`."""
        return self.made.axis

    @property
    def size(self) -> int:
        """See :class:`AddressMap`."""
        return self.made.size

    def of_elements(self) -> Tensor:
        """See :class:`AddressMap`."""
        return self.made.of_elements()

    def moved(
        self, kind: str, attributes: dict[str, Any], **index: Tensor
    ) -> AddressMap | ReshapedMap:
        """The map after a move."""
        if kind == 'reshape':
            return ReshapedMap(self.source, tuple(attributes['shape']))
        parts = _parts(self.source.shape, self.shape) if kind == 'permute' else None
        if parts is None:
            return self.made.moved(kind, attributes, **index)
        dims = [d for part in attributes['dims'] for d in parts[part]]
        source = Strided(
            tuple(self.source.shape[d] for d in dims),
            tuple(self.source.strides[d] for d in dims),
            self.source.offset,
        )
        return ReshapedMap(source, tuple(self.shape[d] for d in attributes['dims']))


def _parts(source: tuple[int, ...], made: tuple[int, ...]) -> list[range] | None:
    """The dimensions of a tensor that each one of its reshape was made of.

    None if one was divided.
    """
    parts, at = [], 0
    for n in made:
        begin, whole = at, 1
        while whole < n and at < len(source):
            whole *= source[at]
            at += 1
        if whole != n:
            return None
        parts.append(range(begin, at))
    if any(n != 1 for n in source[at:]):
        return None
    return parts


def _moved(
    offsets: Tensor, kind: str, attributes: dict[str, Any], **index: Tensor
) -> Tensor:
    """Offsets after a move; a view of them where torch can make one."""
    if kind in ('pad', 'gather'):  # these add zeros, which are -1 in the map
        return move(kind, offsets + 1, attributes, **index) - 1
    return move(kind, offsets, attributes, **index)


def _replaced(sizes: list[int], axis: int) -> list[int]:
    return [1 if d == axis else n for d, n in enumerate(sizes)]


def _same_dimension(shape: tuple[int, ...], axis: int, made: list[int]) -> int | None:
    """The dimension of ``made`` that is ``axis`` of the same elements."""
    before = math.prod(shape[:axis])
    for d, n in enumerate(made):
        if n == shape[axis] and math.prod(made[:d]) == before:
            return d
    return None


def common_strides(flats: list[Tensor]) -> tuple[list[int], list[list[int]]] | None:
    """Loops with fixed strides that visit the offsets of several tensors in order.

    Args:
        flats: Offsets of each tensor, int64, of one dimension and equal length.

    Returns:
        Sizes of the loops, and the strides of each tensor; None if there are no such
        loops.
    """
    if not len(flats[0]):
        return None
    sizes: list[int] = []
    strides: list[list[int]] = [[] for _ in flats]
    rest = flats
    while len(rest[0]) > 1:
        run, steps = _first_run(rest)
        if len(rest[0]) % run:
            return None
        sizes.insert(0, run)
        for made, step in zip(strides, steps, strict=True):
            made.insert(0, step)
        rest = [flat[::run] for flat in rest]
    for flat, made in zip(flats, strides, strict=True):
        expected = flat[0]
        for size, stride in zip(sizes, made, strict=True):
            expected = expected[..., None] + torch.arange(size) * stride
        if int(flat[0]) + sum(
            min(0, stride * (size - 1))
            for size, stride in zip(sizes, made, strict=True)
        ) < 0 or not torch.equal(expected.flatten(), flat):
            return None
    return sizes, strides


def _first_run(flats: list[Tensor]) -> tuple[int, list[int]]:
    """How many offsets of each tensor follow each other by one step; the steps."""
    count = len(flats[0]) - 1
    looked = _LOOK
    while True:
        steps = [flat[: looked + 1].diff() for flat in flats]
        differs = torch.stack([step != step[0] for step in steps]).any(0)
        if looked >= count or bool(differs.any()):
            break
        looked *= _LOOK
    run = int(differs.int().argmax()) + 1 if bool(differs.any()) else count + 1
    return run, [int(step[0]) for step in steps]
