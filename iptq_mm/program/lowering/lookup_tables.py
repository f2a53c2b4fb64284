"""A function of one 16-bit integer as a table of its values.

The compiler's look-ups are scalar, whatever the size of the table: one in the table of
all values is faster than GELU's arithmetic, which has two. The exponential of
table_softmax needs two of four. The reference computes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ...functions import Constants
from ...functions.softmax.table_softmax import with_two_tables
from ..ir.graph import Node, Program
from ..ir.semantics import step

#: Kind of node that only compilers know: operands [x, values], constants ``low``, the
#: argument of the first value, and ``middle``, to be added to what the table has.
LOOK_UP = 'look_up'
#: Kinds of functions that work element by element.
_ELEMENTWISE = ('gelu',)


def tabulated(program: Program) -> Program:
    """The same program with as few look-ups as can be.

    Functions of single numbers become nodes of the kind :data:`LOOK_UP`.
    """
    tensors, nodes = dict(program.tensors), []
    for node in program.nodes:
        name = f'values of %{node.output}'
        if (node.function or {}).get('type') == 'table_softmax':
            node = _two_tables(program, node, tensors)
        found = _table(program, node)
        if found is not None:
            tensors[name], constants = found
            node = Node(
                LOOK_UP, [*node.operands, name], node.output, constants, site=node.site
            )
        nodes.append(node)
    return replace(program, tensors=tensors, nodes=nodes)


def _two_tables(program: Program, node: Node, tensors: dict[str, Tensor]) -> Node:
    """table_softmax with two tables for its exponentials, put into ``tensors``."""
    if 'table' in node.constants:
        return node
    constants: dict[str, int | str] = {}
    for name, held in with_two_tables(_held(program, node)).items():
        if isinstance(held, Tensor):
            constants[name] = f'{name} of %{node.output}'
            tensors[f'{name} of %{node.output}'] = held
        else:
            constants[name] = held
    return replace(node, constants=constants)


def _held(program: Program, node: Node) -> Constants:
    """A node's constants, tensors themselves."""
    return {
        name: program.tensors[held] if isinstance(held, str) else held
        for name, held in node.constants.items()
    }


def _table(program: Program, node: Node) -> tuple[Tensor, Constants] | None:
    """All values of a node less some middle, as int8, and the node's constants.

    None where the node is no function of one integer, or has too many arguments or
    values.
    """
    if node.kind not in _ELEMENTWISE or not node.values:
        return None
    x, made = program.values[node.values[0]], program.values[node.output]
    if x.high - x.low >= 2**16 or x.bound >= 2**31 or made.high - made.low >= 2**8:
        return None
    constants = _held(program, node)
    arguments = torch.arange(x.low, x.high + 1).to(x.dtype)
    values = step(node, made)([arguments], constants)
    are_bytes = made.low >= -128 and made.high <= 127
    middle = 0 if are_bytes else made.low + 128
    bytes_ = (values.to(torch.int32) - middle).to(torch.int8)
    return bytes_, {'low': x.low, 'middle': middle}


def values_looked_up(x: Sequence[Tensor], constants: Constants) -> Tensor:
    """What a node of the kind :data:`LOOK_UP` does."""
    index = x[0].to(torch.int32) - constants['low']
    return look_up(x[1], index).to(torch.int32) + constants['middle']


def look_up(table: Tensor, index: Tensor) -> Tensor:
    """``table[index]`` for an index within the table; that is not checked.

    All values of a program are clamped to their bounds, its inputs by the graph, and
    the bounds are what the index was made for.
    """
    return torch.ops.aten._unsafe_index.Tensor(table, [index])
