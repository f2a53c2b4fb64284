"""The audit of one program: every node proved, under the bounds of its operands.

Nodes clamp their results to the bounds of the values that they make, so that what
holds for each node holds for the program: induction over the nodes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from ...functions import function_name
from ..ir.graph import Node, Operand, Program, ProgramError
from ..lowering.lower import Lowered, lower
from .census import Census, census
from .facts import Fact
from .fast_path import check_fast_path
from .interval import Interval, Unproven
from .proof import Refuted, prove


@dataclass(frozen=True)
class Finding:
    """Something that does not hold, or could not be shown to.

    Attributes:
        region: Name of the region.
        site: Name of the site, or which value the node makes.
        operation: The aten operation, or the kind of the node.
        problem: What is wrong, with the interval where there is one.
    """

    region: str
    site: str
    operation: str
    problem: str

    def __str__(self) -> str:
        return f'{self.region}: {self.site}: {self.operation}: {self.problem}'


@dataclass(frozen=True)
class SiteAudit:
    """What a node that computes is made of, and how tight it is.

    Attributes:
        site: Name of the site, or which value the node makes.
        kind: What it does.
        function: Name of the integer function, with its options.
        constants: The ints by name; tensors as their type, shape and interval.
        widest: For each width of type the most bits of a number in it.
        lemmas: Names of the lemmas that the proof needed.
        accumulator: Magnitude that no partial sum of its product exceeds.
    """

    site: str
    kind: str
    function: str
    constants: dict[str, int | str]
    widest: dict[int, int]
    lemmas: list[str]
    accumulator: int | None = None


@dataclass
class ProgramAudit:
    """What was found about a program.

    Attributes:
        region: Name of the region.
        inputs: Shapes that it is for.
        premises: What each input lies in: its quantizer clamps to that.
        nodes: Nodes by kind.
        sites: Those of them that compute.
        operations: aten operations that nodes consist of, by name.
        census: What it costs.
        findings: What does not hold; none if it is sound.
    """

    region: str
    inputs: list[tuple[int, ...]]
    premises: list[Interval]
    nodes: dict[str, int]
    sites: list[SiteAudit]
    operations: Counter[str]
    census: Census
    findings: list[Finding] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether everything was proved."""
        return not self.findings


def audit_program(program: Program) -> ProgramAudit:
    """Prove a program, node by node.

    Args:
        program: Any program; nothing about it is taken for granted.

    Returns:
        What was found. An unknown operation, a bound that cannot be shown or a float
        is a finding, never an error.
    """
    inputs = [program.values[port.value] for port in program.inputs]
    audit = ProgramAudit(
        program.region,
        [value.shape for value in inputs],
        [Interval(value.low, value.high) for value in inputs],
        {},
        [],
        Counter(),
        Census(),
    )
    try:
        program.check()
    except ProgramError as error:
        finding = Finding(program.region, 'the whole program', 'check', str(error))
        audit.findings.append(finding)
        return audit
    audit.nodes = dict(program.count())
    audit.census = census(program)
    for node in program.nodes:
        try:
            site = _audit_node(program, node, audit.operations)
        except Refuted as error:
            where = node.site or f'%{node.output} ({node.kind})'
            audit.findings.append(
                Finding(program.region, where, error.operation, error.problem)
            )
            continue
        if not node.moves:
            audit.sites.append(site)
    return audit


def _audit_node(program: Program, node: Node, operations: Counter[str]) -> SiteAudit:
    """One node.

    Raises:
        Refuted: If something about it cannot be shown.
    """
    if _holds_float((node.attributes, node.constants)):
        raise Refuted(node.kind, 'a float among its constants or attributes')
    lowered = _lowered(program, node)
    operations.update(
        str(n.target) for n in lowered.graph.graph.nodes if n.op == 'call_function'
    )
    proof = prove(lowered.graph, [_fed(program, feed) for feed in lowered.feeds])
    value = program.values[node.output]
    if not Interval(value.low, value.high).holds(proof.result.interval):
        raise Refuted(
            node.kind,
            f'makes {proof.result.interval}, its value lies in '
            f'{value.low}..{value.high}',
        )
    made = (proof.dtype, proof.shape)
    if made != (value.dtype, value.shape):
        stated = f'its value is {value.dtype} of shape {value.shape}'
        raise Refuted(node.kind, f'makes {made[0]} of shape {made[1]}, {stated}')
    try:
        check_fast_path(program, node, proof.products)
    except Unproven as error:
        raise Refuted(node.kind, str(error)) from None
    return SiteAudit(
        node.site or f'%{node.output}',
        node.kind,
        function_name(node.function) if node.function else '',
        {k: _described(program, v) for k, v in node.constants.items()},
        proof.widest,
        sorted(proof.lemmas),
        max((p.bound for p in proof.products), default=None),
    )


def _lowered(program: Program, node: Node) -> Lowered:
    try:
        return lower(program, node)
    except Exception as error:  # whatever the code of a function raises
        message = str(error).partition('\n')[0]
        raise Refuted(
            node.kind,
            'cannot be taken apart into aten operations: '
            f'{type(error).__name__}: {message}',
        ) from error


def _fed(program: Program, feed: Operand) -> Fact:
    if isinstance(feed, str):
        return Fact.of_tensor(program.tensors[feed])
    value = program.values[feed]
    return Fact(Interval(value.low, value.high))


def _described(program: Program, constant: int | str) -> int | str:
    if isinstance(constant, int):
        return constant
    tensor = program.tensors[constant]
    shape = 'x'.join(map(str, tensor.shape))
    dtype = str(tensor.dtype).removeprefix('torch.')
    return f'{dtype}[{shape}] {Interval.of_tensor(tensor)}'


def _holds_float(x: Any) -> bool:
    if isinstance(x, dict):
        return any(map(_holds_float, x.values()))
    if isinstance(x, list | tuple):
        return any(map(_holds_float, x))
    return isinstance(x, float | complex)
