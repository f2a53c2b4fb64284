"""What a program costs: operations by kind, bytes of constants by kind."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

from ...functions import IntegerFunction
from ...registry import FUNCTIONS
from ..ir.graph import Node, Program, Value

#: Kinds that are products, and those that bring each element to another scale.
_PRODUCTS = ('linear', 'conv2d', 'matmul')
#: Kinds that know no channels: their tensors are tables.
_WITH_TABLES = ('gelu', 'unary', 'softmax', 'to_levels')
_SCALED = (*_PRODUCTS, 'add', 'mul', 'mean', 'max', 'cat', 'requantize')


@dataclass
class Census:
    """Counts of one call.

    Attributes:
        operations: Multiplications with additions (``mac``) of products,
            multiplications with shifts (``requantize``), and what the functions
            consist of (``add``, ``mul``, ``shift``, ``div``, ``lookup``).
        bytes: Of constants: ``weights``, ``parameters`` (other operands), ``tables``,
            ``scales`` (multipliers, shifts and addends), ``masks``, ``indices``.
    """

    operations: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)


def census(program: Program) -> Census:
    """Count the operations and constants of a program."""
    found = Census()
    seen: set[str] = set()
    for node in program.nodes:
        found.operations.update(operations_of(program, node))
        for name, kind in _tensors(node):
            if name not in seen:
                seen.add(name)
                tensor = program.tensors[name]
                found.bytes[kind] += tensor.numel() * tensor.element_size()
    return found


def operations_of(program: Program, node: Node) -> dict[str, int]:
    """Operations of a node, by kind."""
    value = program.values[node.output]
    elements = math.prod(value.shape)
    counts = {}
    if node.kind in _PRODUCTS:
        counts['mac'] = elements * _terms(program, node)
    if node.kind in _SCALED:
        counts['requantize'] = elements
    if node.kind == 'to_levels':
        counts['lookup'] = elements
    if node.function is not None:
        function: IntegerFunction = FUNCTIONS.build(dict(node.function))
        each = function.operations(value.shape[-1])._asdict()
        counts.update({k: round(n * elements) for k, n in each.items() if n})
    return counts


def _terms(program: Program, node: Node) -> int:
    """Products that each output element of a product adds up."""
    first, second = (_shape(program, x) for x in node.operands[:2])
    return first[-1] if node.kind == 'matmul' else math.prod(second[1:])


def _shape(program: Program, operand: int | str) -> tuple[int, ...]:
    if isinstance(operand, str):
        return tuple(program.tensors[operand].shape)
    value: Value = program.values[operand]
    return value.shape


def _tensors(node: Node) -> list[tuple[str, str]]:
    """Names of a node's tensors with their kinds."""
    affine = node.kind in ('linear', 'conv2d')
    operand = 'weights' if affine else 'parameters'
    found = [(x, operand) for x in node.operands if isinstance(x, str)]
    kinds = {'index': 'indices', 'addend': 'masks'}
    for name, x in node.constants.items():
        if isinstance(x, str):
            rest = 'tables' if node.kind in _WITH_TABLES else 'scales'
            given = None if node.function else kinds.get(name)
            found.append((x, given or rest))
    return found
