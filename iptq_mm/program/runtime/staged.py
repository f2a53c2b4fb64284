"""Programs with modules that stay float in between: run part after part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from torch import Tensor

from ...intmath import QParams
from ..backends.base import Executable
from ..backends.boundary import Conversions
from ..ir.graph import Node, Port, Program
from ..tracing.float_calls import FloatCall


class Part(NamedTuple):
    """The part of a program between two calls of float modules.

    Attributes:
        program: Its nodes, with values numbered anew.
        takes: Values of the whole program that are its inputs, in order.
        gives: Values of the whole program that are its outputs, in order.
    """

    program: Program
    takes: list[int]
    gives: list[int]


class Staged(Executable):
    """A program that calls float modules between its parts.

    Args:
        program: As traced: with the inputs that the modules return, and the outputs
            that they take, at the end.
        floats: The calls, in order.
        prepare: Makes a program ready to run; that of a back end.
        conversions: How real tensors become integers, and integers real tensors.
    """

    def __init__(
        self,
        program: Program,
        floats: Sequence[FloatCall],
        prepare: Callable[[Program], Executable],
        conversions: Conversions,
    ) -> None:
        inputs = len(program.inputs) - sum(len(call.returned) for call in floats)
        outputs = len(program.outputs) - sum(len(call.given) for call in floats)
        own = replace(
            program, inputs=program.inputs[:inputs], outputs=program.outputs[:outputs]
        )
        super().__init__(own, conversions)
        self._whole, self._floats = program, tuple(floats)
        self._parts = [
            (part, prepare(part.program) if part.program.nodes else None)
            for part in parts_of(program, floats)
        ]

    def __str__(self) -> str:
        """The parts, and the modules that stay float in between."""
        names = [f'float: {call.path}\n' for call in self._floats]
        texts = [str(made or part.program) for part, made in self._parts]
        return ''.join(
            x for pair in zip(texts, [*names, ''], strict=True) for x in pair
        )

    @property
    def fallbacks(self) -> dict[str, int]:
        """What the back end leaves to the reference in all parts, by reason."""
        found: Counter[str] = Counter()
        for _, made in self._parts:
            found.update(getattr(made, 'fallbacks', {}))
        return dict(found)

    def held(self) -> list[Tensor]:
        """See the base class."""
        return [t for _, made in self._parts if made is not None for t in made.held()]

    def run(self, integers: Sequence[Tensor]) -> list[Tensor]:
        """See the base class."""
        known = {
            port.value: x for port, x in zip(self.program.inputs, integers, strict=True)
        }
        for (part, made), call in zip(self._parts, [*self._floats, None], strict=True):
            if made is not None:
                found = made.run([known[value] for value in part.takes])
                known.update(zip(part.gives, found, strict=True))
            if call is not None:
                self._call(call, known)
        return [known[port.value] for port in self.program.outputs]

    def _call(self, call: FloatCall, known: dict[int, Tensor]) -> None:
        """Run a float module on integers, and make integers of what it returns."""
        ports = [self._whole.outputs[i] for i in call.outputs]
        reals = [self.conversions.dequantize(known[p.value], p.scale) for p in ports]
        results = call(reals)
        for i, result in zip(call.returned, results, strict=True):
            port = self._whole.inputs[i]
            value = self._whole.values[port.value]
            qparams = QParams(port.scale, value.low, value.high)
            known[port.value] = self.conversions.quantize(result, qparams)


def parts_of(program: Program, floats: Sequence[FloatCall]) -> list[Part]:
    """The parts before, between and after the calls of float modules.

    A node belongs to the first part that needs it.

    Args:
        program: As traced.
        floats: The calls, in order.
    """
    makers = {node.output: node for node in program.nodes}
    stage: dict[int, int] = {}
    taken = [[program.outputs[i].value for i in call.outputs] for call in floats]
    wanted = [*taken, [port.value for port in program.outputs]]
    for number, values in enumerate(wanted):
        waiting = list(values)
        while waiting:
            value = waiting.pop()
            if value in makers and value not in stage:
                stage[value] = number
                waiting += makers[value].values
    needed: dict[int, int] = {}  # by value: the last part that wants it
    for node in program.nodes:
        for value in node.values:
            last = needed.get(value, 0)
            needed[value] = max(last, stage.get(node.output, 0))
    asked = {value for values in wanted for value in values}
    parts = []
    for number in range(len(wanted)):
        nodes = [n for n in program.nodes if stage.get(n.output) == number]
        made = [n.output for n in nodes]
        gives = [v for v in made if v in asked or needed.get(v, number) > number]
        parts.append(_part(program, nodes, gives))
    return parts


def _part(program: Program, nodes: Sequence[Node], gives: list[int]) -> Part:
    """The program of some nodes, between integers."""
    made = [node.output for node in nodes]
    own = set(made)
    takes = list(dict.fromkeys(v for n in nodes for v in n.values if v not in own))
    new = {old: i for i, old in enumerate([*takes, *made])}
    renumbered = [
        replace(
            node,
            operands=[new[x] if isinstance(x, int) else x for x in node.operands],
            output=new[node.output],
        )
        for node in nodes
    ]
    used = {name for node in nodes for name in node.tensors}
    part = Program(
        program.region,
        [program.values[old] for old in (*takes, *made)],
        [Port(new[v], 1.0) for v in takes],
        [Port(new[v], 1.0) for v in gives],
        renumbered,
        {n: t for n, t in program.tensors.items() if n in used},
    )
    part.check()
    return Part(part, takes, gives)
