"""The integer program: what a region computes for one set of input shapes.

Printing a program gives one line for each node, with what it makes (number, type, shape
and bounds), the operation and its operands, the site and its integer function::

    %12 int8[1,197,192] -128..127 = layer_norm(%11, ...) ln1/layer_norm:0 i_norm
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ...intmath import storage_dtype
from ...pixels import Pixels
from .image_format import ImageFormat
from .moves import MOVES

#: An operand of a node: the number of a value, or the name of a tensor.
Operand = int | str

#: Kinds of elementwise nodes that belong to no site of their own.
ELEMENTWISE = ('requantize', 'shift_channels', 'add_constant', 'negate', 'to_levels')


#: What to do about a program that does not hold together.
_REMEDY = 'the program is damaged: trace or export the model again'


class ProgramError(ValueError):
    """A program that is damaged, or was written by another version."""


@dataclass(frozen=True)
class Value:
    """The type of an integer tensor that a node makes, or that enters the program.

    Attributes:
        dtype: The integer type that stores it.
        shape: Its shape.
        low: Lower bound of all elements. The node that makes the value clamps to it.
        high: Upper bound of all elements, the same way.
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

    def __str__(self) -> str:
        """Type, shape and bounds: ``int8[1,197,192] -128..127``."""
        shape = ','.join(map(str, self.shape))
        dtype = str(self.dtype).removeprefix('torch.')
        return f'{dtype}[{shape}] {self.low}..{self.high}'


@dataclass(frozen=True)
class Port:
    """An input or output of a program: a value, and the scale of its integers.

    Attributes:
        value: Number of the value.
        scale: Real value of the integer 1.
        pixels: If the value holds centred pixels, how the images were normalized;
            otherwise None.
        image: Format of the images that enter here, if it is known.
        given: Whether integers or booleans enter here as they are (token ids, a mask).
    """

    value: int
    scale: float
    pixels: Pixels | None = None
    image: ImageFormat | None = None
    given: bool = False


@dataclass
class Node:
    """One operation on integers, with one output.

    Kinds are those of ``iptq_mm.operations`` (``linear``, ``conv2d``, ``matmul``,
    ``add``, ``mul``, ``cat``, ``mean``, ``gelu``, ``softmax``, ``layer_norm``), of
    :data:`ELEMENTWISE` and of :data:`iptq_mm.program.ir.moves.MOVES`.
    :mod:`iptq_mm.program.ir.semantics` defines the integers that each kind computes.

    Attributes:
        kind: Name of the operation.
        operands: Values (by number) and tensors (by name) that it takes.
        output: Number of the value that it makes.
        constants: Integer constants by name: ints, or the names of tensors.
        attributes: Arguments that are no tensors (stride, dim, shape, ...); no floats.
        site: Name of the site, ``''`` if the node belongs to none.
        function: Registry dict of the integer function, at a non-linear site.
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

    def __str__(self) -> str:
        """Operation and arguments, the site and the name of its integer function."""
        operands = [f'%{x}' if isinstance(x, int) else x for x in self.operands]
        named = {**self.attributes, **self.constants}
        named_text = [f'{k}={v}'.replace(' ', '') for k, v in named.items()]
        name = (self.function or {}).get('type', '')
        call = f'{self.kind}({", ".join([*operands, *named_text])})'
        return ' '.join(part for part in (call, self.site, name) if part)


@dataclass
class Program:
    """Nodes in the order of execution: plain data, without any code of the model.

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
    tensors: Mapping[str, Tensor]

    def __str__(self) -> str:
        """The inputs, nodes and outputs, one line each."""
        size = sum(t.numel() * t.element_size() for t in self.tensors.values())
        lines = [
            f'program of {self.region}: {len(self.nodes)} nodes, '
            f'{len(self.tensors)} tensors of {size / 2**20:.2f} MB'
        ]
        for port in self.inputs:
            source = 'pixels - 128' if port.pixels else f'input * {port.scale:.6g}'
            lines.append(f'%{port.value} {self.values[port.value]} = {source}')
        for node in self.nodes:
            lines.append(f'%{node.output} {self.values[node.output]} = {node}')
        lines += [f'output %{port.value} * {port.scale:.6g}' for port in self.outputs]
        return '\n'.join(lines) + '\n'

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

    def peak_bytes(self) -> int:
        """The most bytes that values take at any time while it runs."""
        sizes = [v.dtype.itemsize * torch.Size(v.shape).numel() for v in self.values]
        live = peak = sum(sizes[port.value] for port in self.inputs)
        for node, done in zip(self.nodes, self.last_uses(), strict=True):
            live += sizes[node.output]
            peak = max(peak, live)
            live -= sum(sizes[value] for value in done)
        return peak

    def check(self) -> None:
        """Check that values are made before use, only once, and hold their bounds.

        Raises:
            ProgramError: If not; the message names the value, node or tensor.
        """
        for number, value in enumerate(self.values):
            needed = storage_dtype(value.low, value.high)
            if needed.itemsize > value.dtype.itemsize or value.dtype.is_floating_point:
                raise ProgramError(
                    f'value %{number} in {value.low}..{value.high} is kept as '
                    f'{value.dtype}, which does not hold these integers; {_REMEDY}'
                )
        for name, tensor in self.tensors.items():
            if tensor.is_floating_point():
                raise ProgramError(
                    f"tensor '{name}' holds {tensor.dtype}, no integers; {_REMEDY}"
                )
        made = {port.value for port in self.inputs}
        for node in self.nodes:
            self._check_node(node, made)
            made.add(node.output)
        for port in self.outputs:
            if port.value not in made:
                raise ProgramError(f'output %{port.value} is never made; {_REMEDY}')

    def _check_node(self, node: Node, made: Set[int]) -> None:
        """Check one node, after those that made the values ``made``."""
        where = f'{node.kind} that makes %{node.output}'
        for v in node.values:
            if v not in made:
                raise ProgramError(
                    f'{where} takes %{v}, which is not made yet; {_REMEDY}'
                )
        for name in node.tensors:
            if name not in self.tensors:
                raise ProgramError(
                    f"{where} takes '{name}', which is missing; {_REMEDY}"
                )
        if node.output in made:
            raise ProgramError(f'{where} makes it again; {_REMEDY}')
        if not 0 <= node.output < len(self.values):
            raise ProgramError(f'{where}, a value without a type; {_REMEDY}')
