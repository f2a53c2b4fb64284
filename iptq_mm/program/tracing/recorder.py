"""Recording of a program, node by node."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from ...intmath import storage_dtype
from ...pixels import Pixels
from ...qtensor.context import describe_location
from ..ir.graph import Node, Operand, Port, Program, Value
from .canonical import Move

#: Tensors by their content: programs of one model hold the same weights.
TensorPool = MutableMapping[tuple, Tensor]


class Recorder:
    """Records the values and nodes of a program.

    Args:
        pool: Tensors of other programs, which this one shares; None: none.

    Attributes:
        values: Values so far.
        nodes: Nodes so far; :meth:`finish` drops those that no output needs.
        inputs: Ports of the inputs.
    """

    def __init__(self, pool: TensorPool | None = None) -> None:
        self.values: list[Value] = []
        self.nodes: list[Node] = []
        self.inputs: list[Port] = []
        self._pool: TensorPool = WeakValueDictionary() if pool is None else pool
        self._tensors: dict[str, Tensor] = {}
        self._names: dict[tuple, str] = {}
        self._makers: dict[int, Node] = {}
        self._known: dict[str, int] = {}

    def input(
        self,
        shape: Sequence[int],
        low: int,
        high: int,
        scale: float,
        pixels: Pixels | None = None,
        given: bool = False,
    ) -> int:
        """Add an input of the program; returns the number of its value."""
        number = self._value(shape, low, high)
        self.inputs.append(Port(number, scale, pixels, given=given))
        return number

    def tensor(self, tensor: Tensor, name: str, narrow: bool = False) -> str:
        """Add a constant tensor; returns its name.

        Args:
            tensor: Integers.
            name: Its name, unless an equal tensor has one or the name is taken.
            narrow: Whether to store it in the narrowest type that holds its elements.
        """
        tensor = tensor.detach().cpu()
        if narrow and tensor.numel():
            tensor = tensor.to(storage_dtype(int(tensor.min()), int(tensor.max())))
        tensor = tensor.contiguous()
        key = self._key(tensor)
        if key not in self._names:
            count, free = 1, name
            while free in self._tensors:
                count, free = count + 1, f'{name}#{count + 1}'
            mine = self._pool.get(key)
            if mine is None:  # a copy: parameters may change
                mine = self._pool[key] = tensor.clone()
            self._names[key], self._tensors[free] = free, mine
        return self._names[key]

    def _key(self, tensor: Tensor) -> tuple:
        """A key that a tensor shares with equal ones of this program and of the pool.

        Most weights are those of other programs: to compare them is quicker than to
        compute a digest.
        """
        known = tensor.dtype, tuple(tensor.shape), _checksum(tensor)
        others = 0
        while True:
            key = *known, others
            name = self._names.get(key)
            same = self._pool.get(key) if name is None else self._tensors[name]
            if same is None or torch.equal(same, tensor):
                return key
            others += 1

    def node(
        self,
        kind: str,
        operands: list[Operand],
        shape: Sequence[int],
        bounds: tuple[int, int],
        constants: dict[str, int | str] | None = None,
        attributes: dict[str, Any] | None = None,
        site: str = '',
        function: dict[str, Any] | None = None,
    ) -> int:
        """Add a node; returns the number of the value that it makes.

        If an equal node without a site exists already, its value is used.
        """
        constants, attributes = constants or {}, attributes or {}
        key = repr((kind, operands, bounds, constants, attributes))
        if not site and key in self._known:
            return self._known[key]
        output = self._value(shape, *bounds)
        node = Node(kind, operands, output, constants, attributes, site, function)
        self.nodes.append(node)
        self._makers[output] = node
        if not site:
            self._known[key] = output
        return output

    def moved(self, source: int, moves: Sequence[Move]) -> int:
        """Add moves of a value, one after the other; returns the last value."""
        for kind, attributes, shape, positions in moves:
            constants: dict[str, int | str] = {}
            if positions is not None:
                constants['index'] = self.tensor(positions, 'index')
            value, maker = self.values[source], self._makers.get(source)
            if kind == 'reshape' and maker is not None and maker.kind == 'reshape':
                (source,) = maker.values  # of two reshapes, the last one counts
                if self.values[source].shape == shape:
                    continue
            source = self.node(
                kind, [source], shape, (value.low, value.high), constants, attributes
            )
        return source

    def add_constant(
        self, source: int, addend: int | Tensor, shape: Sequence[int]
    ) -> int:
        """Add the node for a value plus a constant; returns the number of the sum."""
        value = self.values[source]
        if isinstance(addend, int):
            least = most = addend
            constant: int | str = addend
        else:
            least, most = map(int, addend.aminmax())
            constant = self.tensor(addend.to(storage_dtype(least, most)), 'addend')
        bounds = value.low + least, value.high + most
        return self.node('add_constant', [source], shape, bounds, {'addend': constant})

    def clamped(self, source: int, low: int | None, high: int | None) -> int:
        """Clamp a value; returns the number of the result.

        There is no kind of node for a clamp. Every node clamps its result to the bounds
        of its value, so a clamp is recorded as a node ``add_constant`` that adds 0 and
        whose result has narrower bounds.

        Args:
            source: Number of the value.
            low: Lower bound; None: none.
            high: Upper bound; None: none.

        Raises:
            ValueError: If the value has no integer within these bounds.
        """
        value, maker = self.values[source], self._makers.get(source)
        wanted = f'{"" if low is None else low}..{"" if high is None else high}'
        low = value.low if low is None else max(low, value.low)
        high = value.high if high is None else min(high, value.high)
        if low > high:
            raise ValueError(
                f'{describe_location()}: a clamp to {wanted} of integers in '
                f'{value.low}..{value.high} leaves no integer: clamp to bounds within '
                'the calibrated range, or calibrate with inputs that reach them'
            )
        if (low, high) == (value.low, value.high):
            return source
        if maker is not None and maker.kind == 'add_constant':
            # The clamp of the sum becomes narrower instead.
            operands, constants = maker.operands, maker.constants
        else:
            operands, constants = [source], {'addend': 0}
        return self.node('add_constant', operands, value.shape, (low, high), constants)

    def finish(self, region: str, outputs: Sequence[Port]) -> Program:
        """The program: nodes that an output needs, values numbered in their order."""
        needed = {port.value for port in outputs}
        nodes = []
        for node in reversed(self.nodes):
            if node.output in needed:
                needed.update(node.values)
                nodes.append(node)
        nodes.reverse()
        order = [port.value for port in self.inputs] + [node.output for node in nodes]
        new = {old: i for i, old in enumerate(order)}
        for node in nodes:
            node.output = new[node.output]
            node.operands = [new[x] if isinstance(x, int) else x for x in node.operands]
        used = {name for node in nodes for name in node.tensors}
        program = Program(
            region,
            [self.values[old] for old in order],
            [replace(p, value=new[p.value]) for p in self.inputs],
            [replace(p, value=new[p.value]) for p in outputs],
            nodes,
            {n: t for n, t in self._tensors.items() if n in used},
        )
        program.check()
        return program

    def _value(self, shape: Sequence[int], low: int, high: int) -> int:
        self.values.append(Value.bounded(tuple(shape), low, high))
        return len(self.values) - 1


def _checksum(tensor: Tensor) -> int:
    """A number that equal tensors share."""
    flat = tensor.flatten()
    aligned = flat.storage_offset() * flat.element_size() % 8 == 0
    # One element may have any stride.
    if aligned and flat.nbytes % 8 == 0 and flat.stride(0) == 1:
        flat = flat.view(torch.int64)  # fewer and quicker additions
    return int(flat.sum(dtype=torch.int64))
