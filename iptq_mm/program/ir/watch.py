"""Watched programs: the same integers, and counts of what each quantizer clips.

A node that belongs to a site clamps its result to the range of the quantizer. In a
watched program it clamps to a much wider range, and a node of the kind :data:`WATCH`
after it counts what lies outside and clamps::

    %7 int8[5,8]   -128..127      = linear(%3, ...) last/linear:0

    %9 int16[5,8]  -32767..32767  = linear(%3, ...) last/linear:0
    %7 int8[5,8]   -128..127      = watch(%9, counts=counts#4, low=-128, high=127)

The counts are tensors of the program, which a run changes: such a program is no plain
data, is not stored, and one thread at a time runs it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from ...out_of_range import FIT_HIGH, FIT_LOW, SLOTS, OutOfRangeLog, fit_name, reach
from .graph import Node, Program, Value

#: Kind of a node that counts the integers of its operand outside of ``low..high`` into
#: the tensor ``counts``, and then clamps them to the bounds of its value.
WATCH = 'watch'


class Watched(NamedTuple):
    """A quantizer that a watched program counts for.

    Attributes:
        names: Its names in the log: sites that want the same operand share a node.
        counts: The counts, see :mod:`iptq_mm.out_of_range.counting`.
        total: Values that it quantizes in a run.
        width: Steps from one end of its range to the other.
    """

    names: tuple[str, ...]
    counts: Tensor
    total: int
    width: int


class WatchedProgram:
    """A program that counts what its quantizers clip.

    Args:
        program: The program to watch.
        device: Device on which it will run.

    Attributes:
        program: The watched program. Its inputs and outputs are those of the other.
    """

    def __init__(self, program: Program, device: torch.device) -> None:
        self._values = list(program.values)
        self._tensors = dict(program.tensors)
        self._device = device
        self._watched: list[Watched] = []
        names = _names(program)
        nodes: list[Node] = []
        for i, node in enumerate(program.nodes):
            if node.function is not None and FIT_LOW in node.constants:
                nodes += self._fit(node)
            nodes += self._node(node, names[i]) if i in names else [node]
        self.program = replace(
            program, values=self._values, nodes=nodes, tensors=self._tensors
        )

    def take(self, log: OutOfRangeLog) -> None:
        """Add what the runs since the last time, one at least, have counted."""
        for names, counts, total, width in self._watched:
            found = counts.tolist()
            counts.zero_()
            for name in names:
                log.at(name).add(found, total, width)

    def _node(self, node: Node, names: tuple[str, ...]) -> list[Node]:
        """The nodes in place of one that quantizes."""
        value = self._values[node.output]
        wide = self._value(Value.bounded(value.shape, *reach(value.low, value.high)))
        watch = self._watch(names, wide, node.output, value.low, value.high)
        return [replace(node, output=wide), watch]

    def _fit(self, node: Node) -> list[Node]:
        """A node beside a function that was fitted to a range of its input."""
        source, low, high = node.values[0], *_fit_range(node)
        value = self._values[source]
        return [
            self._watch((fit_name(node.site),), source, self._value(value), low, high)
        ]

    def _watch(
        self, names: tuple[str, ...], source: int, output: int, low: int, high: int
    ) -> Node:
        name = f'counts#{len(self._watched)}'
        counts = torch.zeros(SLOTS, dtype=torch.int64, device=self._device)
        self._tensors[name] = counts
        total = torch.Size(self._values[output].shape).numel()
        self._watched.append(Watched(names, counts, total, high - low))
        constants: dict[str, int | str] = {'counts': name, 'low': low, 'high': high}
        return Node(WATCH, [source], output, constants)

    def _value(self, value: Value) -> int:
        self._values.append(value)
        return len(self._values) - 1


def _fit_range(node: Node) -> tuple[int, int]:
    low, high = node.constants[FIT_LOW], node.constants[FIT_HIGH]
    assert isinstance(low, int) and isinstance(high, int)
    return low, high


def _names(program: Program) -> dict[int, tuple[str, ...]]:
    """Names in the log of the nodes that quantize, by the position of the node.

    Integer mode calls an operand that a site requantizes ``site<-source``. The source
    is the site or input that made the value, whatever moved it since.
    """
    sources = {p.value: f'input:{i}' for i, p in enumerate(program.inputs)}
    users: dict[int, list[Node]] = {}
    for node in program.nodes:
        for v in dict.fromkeys(node.values):
            users.setdefault(v, []).append(node)
        sources[node.output] = node.site or sources.get((node.values or [-1])[0], '')
    names: dict[int, tuple[str, ...]] = {}
    for i, node in enumerate(program.nodes):
        if node.site:
            names[i] = (node.site,)
        elif node.kind == 'requantize':
            source = sources[node.output]
            sites = dict.fromkeys(_sites(node.output, users))
            names[i] = tuple(f'{site}<-{source}' for site in sites)
    return names


def _sites(value: int, users: dict[int, list[Node]]) -> list[str]:
    """The sites that take a value, behind nodes without a site too."""
    found = []
    for node in users.get(value, []):
        found += [node.site] if node.site else _sites(node.output, users)
    return found
