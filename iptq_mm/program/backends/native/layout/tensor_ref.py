"""References to tensors in buffers, by strides or by an address map."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from .....native.storage import Storage
from ....ir.moves import move
from .address_map import AddressMap, ReshapedMap, Strided
from .steps import Address, Buffer, Step


@dataclass(frozen=True)
class TensorRef:
    """Where and how the integers of a value are stored.

    A move (reshape, permute, slice, ...) makes a new reference to the same buffer; no
    command runs.

    Attributes:
        buffer: The buffer.
        storage: Type and zero point of an element.
        shape: Shape of the value.
        strides: In elements; without meaning where there is an address map.
        offset: Offset of the first element in the buffer, in elements.
        address_map: Offset of each element, for moves that strides cannot express.
        producer: The step that makes the integers, while a later node may change it:
            see :class:`.steps.Step`.
    """

    buffer: Buffer
    storage: Storage
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0
    address_map: AddressMap | ReshapedMap | None = None
    producer: Step | None = None

    @classmethod
    def new(cls, storage: Storage, shape: tuple[int, ...], pinned: bool = False):
        """A contiguous tensor in a new buffer."""
        buffer = Buffer(math.prod(shape) * storage.size, pinned)
        return cls(buffer, storage, tuple(shape), contiguous(shape))

    def in_new_buffer(self, storage: Storage) -> TensorRef:
        """The same layout in a new buffer, with another storage."""
        elements = self.buffer.size // self.storage.size
        buffer = Buffer(elements * storage.size)
        return replace(self, buffer=buffer, storage=storage, producer=None)

    @property
    def address(self) -> Address:
        """Address of the first element."""
        assert self.address_map is None
        return Address(self.buffer, self.offset * self.storage.size)

    @property
    def is_contiguous(self) -> bool:
        """Whether the elements lie in the order of the value, without gaps."""
        return self.address_map is None and all(
            n == 1 or a == b
            for n, a, b in zip(
                self.shape, self.strides, contiguous(self.shape), strict=True
            )
        )

    @property
    def is_whole(self) -> bool:
        """Whether it is contiguous and all that its buffer has."""
        size = math.prod(self.shape) * self.storage.size
        return self.is_contiguous and self.offset == 0 and size == self.buffer.size

    @property
    def has_dense_rows(self) -> bool:
        """Whether elements along the last dimension are adjacent, by strides."""
        return self.address_map is None and self.strides[-1:] == (1,)

    @property
    def order(self) -> list[int] | None:
        """Dimensions from the outermost in memory; None if there are gaps."""
        if self.address_map is not None:
            return None
        dims = sorted(range(len(self.shape)), key=lambda d: -self.strides[d])
        return dims if self.permuted(dims).is_contiguous else None

    def permuted(self, dims: list[int]) -> TensorRef:
        """The same tensor with its dimensions in another order."""
        return self.moved('permute', {'dims': dims})

    def as_address_map(self) -> AddressMap | ReshapedMap:
        """The address map, made of the strides if there is none."""
        if self.address_map is not None:
            return self.address_map
        return AddressMap.by_strides(self.shape, self.strides, self.offset)

    def moved(
        self, kind: str, attributes: dict[str, Any], **index: Tensor
    ) -> TensorRef:
        """The tensor after a move, in the same buffer."""
        view = self._view(kind, attributes) if self.address_map is None else None
        if view is not None:
            return replace(
                self,
                shape=tuple(view.shape),
                strides=view.stride(),
                offset=int(view.storage_offset()),
            )
        moved: AddressMap | ReshapedMap
        if kind == 'reshape' and self.address_map is None:
            source = Strided(self.shape, self.strides, self.offset)
            moved = ReshapedMap(source, tuple(attributes['shape']))
        else:
            moved = self.as_address_map().moved(kind, attributes, **index)
        return replace(
            self,
            shape=moved.shape,
            strides=contiguous(moved.shape),
            offset=0,
            address_map=moved,
        )

    def _view(self, kind: str, attributes: dict[str, Any]) -> Tensor | None:
        elements = self.buffer.size // self.storage.size
        memory = torch.empty(elements, dtype=torch.int8, device='meta')
        x = memory.as_strided(self.shape, self.strides, self.offset)
        if kind == 'reshape':
            try:
                return x.view(attributes['shape'])
            except RuntimeError:
                return None
        if kind == 'strided':
            numbers = restrided(self.shape, self.strides, attributes)
            return None if numbers is None else x.as_strided(*numbers)
        if kind in ('permute', 'expand', 'slice'):
            return move(kind, x, attributes)
        return None


def restrided(
    shape: tuple[int, ...], strides: tuple[int, ...], attributes: dict[str, Any]
) -> tuple[list[int], list[int]] | None:
    """The windows that a move ``strided`` makes of a strided tensor, by strides.

    The move counts in elements of a contiguous tensor. Each of its strides has to be a
    number of steps along one dimension, and all steps along a dimension stay within it.

    Args:
        shape: Shape of the tensor.
        strides: Its strides.
        attributes: Of the move.

    Returns:
        Sizes and strides; None if there are none.
    """
    if attributes['offset']:
        return None
    whole, reached = contiguous(shape), [0] * len(shape)
    made = []
    for n, stride in zip(attributes['shape'], attributes['strides'], strict=True):
        d = next((d for d, w in enumerate(whole) if stride >= w > 0), None)
        if n == 1 or stride == 0:
            made.append(0)
        elif d is None or stride % whole[d]:
            return None
        else:
            steps = stride // whole[d]
            reached[d] += (n - 1) * steps
            made.append(steps * strides[d])
    if any(r >= n for r, n in zip(reached, shape, strict=True)):
        return None
    return list(attributes['shape']), made


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of a contiguous tensor."""
    return tuple(math.prod(shape[d + 1 :]) for d in range(len(shape)))


def collapsed(
    shape: tuple[int, ...], strides: list[tuple[int, ...]]
) -> tuple[list[int], list[list[int]]]:
    """Merge dimensions of tensors of one shape where all of their strides allow it.

    Args:
        shape: The shape.
        strides: Strides of each tensor.

    Returns:
        The merged shape, of at least one dimension, and the strides of each tensor.
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
