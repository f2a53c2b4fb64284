"""What a node is to the machine: a graph of aten operations on integers.

Made from the very functions that run (:func:`~iptq_mm.program.ir.semantics.step`), in
the reference arithmetic of ``intmath.product``. No operation in it knows a float.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx

from ...intmath.product import use_reference
from ..ir.graph import Node, Operand, Program, Value
from ..ir.semantics import step
from .capture import aten_graph
from .compiler_spellings import SPELLINGS, compilable_step

_Spec = tuple[torch.dtype, tuple[int, ...]]
_Bounds = tuple[int, int]


class Lowered(NamedTuple):
    """A node's graph.

    Attributes:
        graph: Integer aten operations, without mutation; shared by nodes that differ
            only in the numbers of their tensors.
        feeds: For each placeholder the value (a number) or tensor (a name) that it
            stands for; contiguous tensors, as values and constants are seen to be.
    """

    graph: fx.GraphModule
    feeds: tuple[Operand, ...]


class _Signature(NamedTuple):
    """All that a graph depends on; dicts as JSON, to be hashable."""

    product: str
    kind: str
    attributes: str
    function: str
    operands: tuple[_Spec, ...]
    bounds: tuple[_Bounds, ...]
    tensors: tuple[tuple[str, _Spec], ...]
    ints: tuple[tuple[str, int], ...]
    output: Value


def lower(program: Program, node: Node, reference: bool = True) -> Lowered:
    """The aten graph of a node.

    Args:
        program: The program.
        node: One of its nodes.
        reference: Products in int64; otherwise as ``compilable`` spells them, which may
            be in floats that hold every partial sum.

    Returns:
        The graph; its one output is what the node makes, clamped and stored.
    """
    tensors = {k: v for k, v in node.constants.items() if isinstance(v, str)}

    def spec(operand: Operand) -> _Spec:
        made: Value | Tensor = (
            program.tensors[operand]
            if isinstance(operand, str)
            else program.values[operand]
        )
        return made.dtype, tuple(made.shape)

    def bounds(operand: Operand) -> _Bounds:
        # Others do not depend on them, and are shared.
        if node.kind == 'matmul' and not isinstance(operand, str):
            return program.values[operand].low, program.values[operand].high
        held = torch.iinfo(spec(operand)[0])
        return held.min, held.max

    signature = _Signature(
        'reference' if reference else torch.get_float32_matmul_precision(),
        node.kind,
        json.dumps(node.attributes, sort_keys=True),
        json.dumps(node.function, sort_keys=True),
        tuple(map(spec, node.operands)),
        () if reference else tuple(map(bounds, node.operands)),
        tuple((name, spec(tensor)) for name, tensor in tensors.items()),
        tuple((k, v) for k, v in node.constants.items() if isinstance(v, int)),
        program.values[node.output],
    )
    return Lowered(_graph(signature), (*node.operands, *tensors.values()))


@lru_cache(maxsize=2048)
def _graph(signature: _Signature) -> fx.GraphModule:
    """The graph of all nodes of a signature."""
    node = Node(
        signature.kind,
        [],
        0,
        attributes=json.loads(signature.attributes),
        function=json.loads(signature.function),
    )
    reference = signature.product == 'reference'
    if reference:
        compute = step(node, signature.output, blocks=False)
    else:
        specs = zip(signature.operands, signature.bounds, strict=True)
        operands = [Value(*spec, *bounds) for spec, bounds in specs]
        compute = compilable_step(node, operands, signature.output)
    count, names = len(signature.operands), [name for name, _ in signature.tensors]

    def run(*inputs: Tensor) -> Tensor:
        constants: dict[str, Any] = dict(signature.ints)
        constants.update(zip(names, inputs[count:], strict=True))
        return compute(inputs[:count], constants)

    seen = [*signature.operands, *(spec for _, spec in signature.tensors)]
    example = [torch.empty(shape, dtype=dtype) for dtype, shape in seen]
    spelled = node.function is not None and not reference
    with _reference(reference):
        return aten_graph(run, example, SPELLINGS if spelled else None)


@contextmanager
def _reference(enabled: bool) -> Iterator[None]:
    previous = use_reference(enabled)
    try:
        yield
    finally:
        use_reference(previous)


def float_types(graph: fx.GraphModule) -> Sequence[str]:
    """What in a lowered graph has a type that is no integer or boolean; none should."""
    found = []
    for node in graph.graph.nodes:
        made = node.meta.get('val')
        values = made if isinstance(made, tuple | list) else [made]
        dtypes = [v.dtype for v in values if isinstance(v, Tensor)]
        dtypes += [a for a in (*node.args, *node.kwargs.values()) if _is_dtype(a)]
        scalars = [a for a in node.args if isinstance(a, float)]
        if scalars or any(d.is_floating_point or d.is_complex for d in dtypes):
            found.append(f'{node.name}: {node.target} {dtypes} {scalars}')
    return found


def _is_dtype(value: Any) -> bool:
    return isinstance(value, torch.dtype)
