"""Where the integers of a value lie: in a buffer, by strides or by positions."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from .....native.storage import Storage
from ....ir.moves import move
from .positions import Positions
from .steps import At, Buffer, Step


@dataclass(frozen=True)
class Located:
    """The integers of a value.

    Attributes:
        buffer: Where they are.
        storage: How each is kept.
        shape: Of the value.
        strides: In elements; meaningless where there are positions.
        offset: Of the first element, in elements.
        positions: For moves that strides cannot say.
        producer: The step that made them, if nobody else needs its result: it may
            still be changed.
    """

    buffer: Buffer
    storage: Storage
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0
    positions: Positions | None = None
    producer: Step | None = None

    @classmethod
    def new(cls, storage: Storage, shape: tuple[int, ...], pinned: bool = False):
        """Contiguous integers in a buffer of their own."""
        buffer = Buffer(math.prod(shape) * storage.size, pinned)
        return cls(buffer, storage, tuple(shape), contiguous(shape))

    def made_anew(self, storage: Storage) -> Located:
        """The same places in a buffer of its own, of another storage."""
        elements = self.buffer.size // self.storage.size
        buffer = Buffer(elements * storage.size)
        return replace(self, buffer=buffer, storage=storage, producer=None)

    @property
    def at(self) -> At:
        """Address of the first element."""
        assert self.positions is None
        return At(self.buffer, self.offset * self.storage.size)

    @property
    def is_contiguous(self) -> bool:
        """Whether they lie in the order of the value, without gaps."""
        return self.positions is None and all(
            n == 1 or a == b
            for n, a, b in zip(
                self.shape, self.strides, contiguous(self.shape), strict=True
            )
        )

    @property
    def order(self) -> list[int] | None:
        """Dimensions in the order in which they lie without gaps, if they do."""
        if self.positions is not None:
            return None
        dims = sorted(range(len(self.shape)), key=lambda d: -self.strides[d])
        return dims if self.permuted(dims).is_contiguous else None

    def permuted(self, dims: list[int]) -> Located:
        """With the dimensions in another order."""
        return self.moved('permute', {'dims': dims})

    def places(self) -> Positions:
        """Positions, whether strides could say it or not."""
        if self.positions is not None:
            return self.positions
        return Positions.by_strides(self.shape, self.strides, self.offset)

    def moved(self, kind: str, attributes: dict[str, Any], **index: Tensor) -> Located:
        """The result of a move: no integer is touched."""
        view = self._view(kind, attributes) if self.positions is None else None
        if view is not None:
            return replace(
                self,
                shape=tuple(view.shape),
                strides=view.stride(),
                offset=int(view.storage_offset()),
            )
        places = self.places().moved(kind, attributes, **index)
        shape = places.shape
        strides = contiguous(shape)
        return replace(self, shape=shape, strides=strides, offset=0, positions=places)

    def _view(self, kind: str, attributes: dict[str, Any]) -> Tensor | None:
        elements = self.buffer.size // self.storage.size
        memory = torch.empty(elements, dtype=torch.int8, device='meta')
        x = memory.as_strided(self.shape, self.strides, self.offset)
        if kind == 'reshape':
            try:
                return x.view(attributes['shape'])
            except RuntimeError:
                return None
        if kind in ('permute', 'expand', 'slice'):
            return move(kind, x, attributes)
        return None


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of a contiguous tensor."""
    return tuple(math.prod(shape[d + 1 :]) for d in range(len(shape)))


def collapsed(
    shape: tuple[int, ...], strides: list[tuple[int, ...]]
) -> tuple[list[int], list[list[int]]]:
    """The same elements with as few dimensions as can be.

    Args:
        shape: Of several tensors.
        strides: Of each of them.

    Returns:
        The shape, and the strides of each tensor; at least one dimension.
    """
    sizes: list[int] = []
    steps: list[list[int]] = [[] for _ in strides]
    for d, n in enumerate(shape):
        if n == 1:
            continue
        joins = sizes and all(s[-1] == n * t[d] for s, t in zip(steps, strides))  # noqa: B905
        if joins:
            sizes[-1] *= n
            for s, t in zip(steps, strides, strict=True):
                s[-1] = t[d]
        else:
            sizes.append(n)
            for s, t in zip(steps, strides, strict=True):
                s.append(t[d])
    if not sizes:
        return [1], [[0] for _ in strides]
    return sizes, steps
