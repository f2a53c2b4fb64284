"""Graphs for the tests of the audit, and a check of what was proved about them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from iptq_mm.program import Program
from iptq_mm.program.audit.facts import Fact, Facts
from iptq_mm.program.audit.interval import Interval
from iptq_mm.program.audit.proof import Proof, prove
from iptq_mm.program.lowering.capture import aten_graph
from iptq_mm.program.lowering.lower import lower


def graph_of(function: Callable, *example: Tensor) -> fx.GraphModule:
    return aten_graph(function, list(example))


def proved(function: Callable, *inputs: tuple[tuple[int, ...], int, int]) -> Proof:
    """The proof of a function of int64 tensors of these shapes and bounds."""
    example = [torch.zeros(shape, dtype=torch.int64) for shape, _, _ in inputs]
    facts = [Fact(Interval(low, high)) for _, low, high in inputs]
    return prove(graph_of(function, *example), facts)


def feeds_of(program: Program, feeds: Sequence[Any]) -> list[Fact]:
    return [
        Fact.of_tensor(program.tensors[x])
        if isinstance(x, str)
        else Fact(Interval(program.values[x].low, program.values[x].high))
        for x in feeds
    ]


def proof_of(program: Program) -> tuple[fx.GraphModule, Proof]:
    """Graph and proof of a program of one node."""
    (node,) = program.nodes
    lowered = lower(program, node)
    return lowered.graph, prove(lowered.graph, feeds_of(program, lowered.feeds))


class Watched(fx.Interpreter):
    """Runs a graph; fails where a value is not what was proved of it."""

    def __init__(self, graph: fx.GraphModule, facts: Facts) -> None:
        super().__init__(graph)
        self.facts = facts

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, Tensor) and result.numel() and n in self.facts:
            fact, seen = self.facts[n], Interval.of_tensor(result)
            assert fact.interval.holds(seen), (n.format_node(), seen, fact)
            assert fact.tensor is None or torch.equal(fact.tensor, result)
        return result


def extremes(
    shape: tuple[int, ...], low: int, high: int, seed: int = 0
) -> list[Tensor]:
    """Inputs that go to the limits, and some that do not."""
    generator = torch.Generator().manual_seed(seed)
    random = torch.randint(low, high + 1, shape, generator=generator)
    ends = torch.tensor([low, high])[torch.randint(0, 2, shape, generator=generator)]
    single = torch.full(shape, low)
    single[..., 0] = high
    ramp = torch.linspace(low, high, shape[-1]).long().clamp_(low, high).expand(shape)
    flat = [torch.full(shape, n) for n in (low, high)]
    return [random, ends, single, low + high - single, ramp.clone(), *flat]
