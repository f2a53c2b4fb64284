"""Lowering of a node to a graph of aten operations on integers.

The graph is captured from the function that defines the node
(:func:`~iptq_mm.program.ir.semantics.node_function`), with products in int64. It has no
operation on floats. The audit proves these graphs, and the ONNX exporter translates
them. For a compiler, nodes are lowered with other spellings of the same integers
(:mod:`.compiler_spellings`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx

from ...intmath.product import float32_precision, reference_products
from ...registry import FUNCTIONS
from ..ir.graph import Node, Operand, Program, Value
from ..ir.semantics import node_function
from .capture import aten_graph
from .compiler_spellings import SPELLINGS, compiler_function

_Spec = tuple[torch.dtype, tuple[int, ...]]
_Bounds = tuple[int, int]


class Lowered(NamedTuple):
    """A lowered node.

    Attributes:
        graph: Integer aten operations, none of them in place. Nodes that differ only
            in the elements of their tensors share one graph.
        feeds: For each placeholder of the graph, the value (a number) or tensor (a
            name) to give it, contiguous.
    """

    graph: fx.GraphModule
    feeds: tuple[Operand, ...]


class _Signature(NamedTuple):
    """Everything that a graph depends on; dicts as JSON, which is hashable.

    Attributes:
        code: What computes the integer function at a non-linear site.
    """

    product: str
    kind: str
    attributes: str
    function: str
    code: Callable | None
    operands: tuple[_Spec, ...]
    bounds: tuple[_Bounds, ...]
    tensors: tuple[tuple[str, _Spec], ...]
    ints: tuple[tuple[str, int], ...]
    output: Value


def lower(program: Program, node: Node, reference: bool = True) -> Lowered:
    """The aten graph of a node; its output is the value of the node, clamped.

    Args:
        program: The program.
        node: One of its nodes.
        reference: True: products in int64. False: in the spelling for compilers, where
            products may be in floats that hold every partial sum exactly.
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
        # Only a matmul depends on bounds; graphs of other nodes are shared.
        if node.kind == 'matmul' and not isinstance(operand, str):
            return program.values[operand].low, program.values[operand].high
        held = torch.iinfo(spec(operand)[0])
        return held.min, held.max

    function = node.function
    signature = _Signature(
        'reference' if reference else float32_precision(),
        node.kind,
        json.dumps(node.attributes, sort_keys=True),
        json.dumps(function, sort_keys=True),
        _code(function),
        tuple(map(spec, node.operands)),
        () if reference else tuple(map(bounds, node.operands)),
        tuple((name, spec(tensor)) for name, tensor in tensors.items()),
        tuple((k, v) for k, v in node.constants.items() if isinstance(v, int)),
        program.values[node.output],
    )
    return Lowered(_graph(signature), (*node.operands, *tensors.values()))


def _code(function: dict[str, Any] | None) -> Callable | None:
    """The code of an integer function; None if no function has this name."""
    name = (function or {}).get('type')
    return getattr(FUNCTIONS.module_dict.get(name), 'integer', None)


@lru_cache(maxsize=2048)
def _graph(signature: _Signature) -> fx.GraphModule:
    """The graph of all nodes with this signature."""
    node = Node(
        signature.kind,
        [],
        0,
        attributes=json.loads(signature.attributes),
        function=json.loads(signature.function),
    )
    reference = signature.product == 'reference'
    if reference:
        compute = node_function(node, signature.output, blocks=False)
    else:
        specs = zip(signature.operands, signature.bounds, strict=True)
        operands = [Value(*spec, *bounds) for spec, bounds in specs]
        compute = compiler_function(node, operands, signature.output)
    count, names = len(signature.operands), [name for name, _ in signature.tensors]

    def run(*inputs: Tensor) -> Tensor:
        constants: dict[str, Any] = dict(signature.ints)
        constants.update(zip(names, inputs[count:], strict=True))
        return compute(inputs[:count], constants)

    seen = [*signature.operands, *(spec for _, spec in signature.tensors)]
    example = [torch.empty(shape, dtype=dtype) for dtype, shape in seen]
    spelled = node.function is not None and not reference
    with reference_products(reference):
        return aten_graph(run, example, SPELLINGS if spelled else None)


def float_types(graph: fx.GraphModule) -> Sequence[str]:
    """Operations of a graph on anything but integers and booleans, described."""
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
