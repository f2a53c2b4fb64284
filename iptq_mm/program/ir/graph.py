"""The integer program: what a region computes for one set of input shapes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ...intmath import storage_dtype
from ...pixels import Pixels
from .image_format import ImageFormat
from .moves import MOVES

#: What an operation takes: the number of a value, or the name of a tensor.
Operand = int | str

#: Kinds that work element by element and belong to no site of their own.
ELEMENTWISE = ('requantize', 'amplify', 'shifted', 'negate')


class ProgramError(ValueError):
    """A program that is damaged, or was written by another version."""


@dataclass(frozen=True)
class Value:
    """What flows from node to node.

    Attributes:
        dtype: The integer type that stores it.
        shape: Its shape.
        low: No element is ever below; nodes clamp to it.
        high: No element is ever above.
    """

    dtype: torch.dtype
    shape: tuple[int, ...]
    low: int
    high: int

    @classmethod
    def bounded(cls, shape: tuple[int, ...], low: int, high: int) -> Value:
        """A value in the narrowest type that holds its bounds."""
        return cls(storage_dtype(low, high), tuple(shape), low, high)

    @property
    def bound(self) -> int:
        """Largest magnitude of an element."""
        return max(-self.low, self.high)


@dataclass(frozen=True)
class Port:
    """Where a real tensor becomes integers, or integers a real tensor.

    Attributes:
        value: Number of the value.
        scale: Real value of one step.
        pixels: How the images were normalized whose centred pixels these are; None:
            they are no pixels.
        image: What images enter here, if that is known.
    """

    value: int
    scale: float
    pixels: Pixels | None = None
    image: ImageFormat | None = None


@dataclass
class Node:
    """One operation on integers, with one output.

    Kinds are those of ``iptq_mm.operations`` (``linear``, ``conv2d``, ``matmul``,
    ``add``, ``mul``, ``cat``, ``mean``, ``gelu``, ``softmax``, ``layer_norm``), of
    :data:`ELEMENTWISE` and of :data:`iptq_mm.program.ir.moves.MOVES`. The result is
    clamped to the bounds of the output and kept in its type.

    Attributes:
        kind: What it does.
        operands: Values and tensors that it takes.
        output: Number of the value that it makes.
        constants: Integers by name: ints, or the names of tensors.
        attributes: Plain arguments: stride, dim, shape, ...; no floats.
        site: Name of the site, ``''`` where there is none.
        function: Registry dict of the integer function at a non-linear site.
    """

    kind: str
    operands: list[Operand]
    output: int
    constants: dict[str, int | str] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    site: str = ''
    function: dict[str, Any] | None = None

    @property
    def values(self) -> list[int]:
        """Numbers of the values that it takes."""
        return [x for x in self.operands if isinstance(x, int)]

    @property
    def tensors(self) -> list[str]:
        """Names of the tensors that it takes, as operand or as constant."""
        taken = [*self.operands, *self.constants.values()]
        return [x for x in taken if isinstance(x, str)]

    @property
    def moves(self) -> bool:
        """Whether it only moves integers."""
        return self.kind in MOVES


@dataclass
class Program:
    """Nodes in the order of execution. Plain data.

    Attributes:
        region: Name of the region.
        values: All values; nodes name them by their position.
        inputs: Values that the caller provides, in order.
        outputs: Values that the caller gets, in order.
        nodes: The operations.
        tensors: Integer weights and constants by name, contiguous, on the CPU.
    """

    region: str
    values: list[Value]
    inputs: list[Port]
    outputs: list[Port]
    nodes: list[Node]
    tensors: dict[str, Tensor]

    def __str__(self) -> str:
        from .text import text

        return text(self)

    @property
    def input_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the real tensors that enter: marks of padding are made of them."""
        shapes = []
        for port in self.inputs:
            shape = self.values[port.value].shape
            if port.pixels is not None and port.pixels.marked:
                shape = (shape[0], shape[1] - 1, *shape[2:])
            shapes.append(shape)
        return shapes

    def count(self) -> Counter[str]:
        """Nodes by kind."""
        return Counter(node.kind for node in self.nodes)

    def last_uses(self) -> Iterator[list[int]]:
        """For each node the values that nobody needs after it."""
        kept = {port.value for port in self.outputs}
        last: dict[int, int] = {}
        for position, node in enumerate(self.nodes):
            last.update(dict.fromkeys((*node.values, node.output), position))
        for position, node in enumerate(self.nodes):
            own = {*node.values, node.output} - kept
            yield [v for v in own if last[v] == position]

    def check(self) -> None:
        """Make sure that values are made before use, once, and hold their bounds.

        Raises:
            ProgramError: If not; the message names the node.
        """
        made = {port.value for port in self.inputs}
        for value in self.values:
            narrow = storage_dtype(value.low, value.high)
            if narrow.itemsize > value.dtype.itemsize or value.dtype.is_floating_point:
                raise ProgramError(
                    f'a value in {value.low}..{value.high} is kept as {value.dtype}'
                )
        for node in self.nodes:
            where = f'{node.kind} that makes %{node.output}'
            for v in node.values:
                if v not in made:
                    raise ProgramError(f'{where} takes %{v}, which is not made yet')
            for name in node.tensors:
                if name not in self.tensors:
                    raise ProgramError(f"{where} takes '{name}', which is missing")
            if node.output in made or not 0 <= node.output < len(self.values):
                raise ProgramError(f'{where} makes it again, or it has no type')
            made.add(node.output)
        for port in self.outputs:
            if port.value not in made:
                raise ProgramError(f'output %{port.value} is never made')
        for name, tensor in self.tensors.items():
            if tensor.is_floating_point():
                raise ProgramError(f"tensor '{name}' holds {tensor.dtype}")
