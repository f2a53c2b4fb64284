"""Lookup tables in place of functions of one integer, a pass for compilers.

Compiled code looks up one element at a time, whatever the size of the table. A table of
all values of GELU needs one look-up instead of the two of its arithmetic; the
exponential of ``table_softmax`` needs two instead of four.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ...functions import Constants
from ...functions.softmax.table_softmax import with_two_tables
from ..ir.graph import Node, Program
from ..ir.semantics import node_function

#: Kind of the node that looks up a table, known to :mod:`.compiler_spellings` only. Its
#: operands are ``[x, table]``; constants: ``low``, the argument of the first entry, and
#: ``base``, which is added to the entry.
LOOK_UP = 'look_up'
#: Kinds of functions whose results depend on one integer each, but for some published
#: forms; see :func:`_table`.
_TABULATED = ('gelu', 'unary', 'to_levels')


def with_lookup_tables(program: Program) -> Program:
    """The same program with functions of one integer as nodes ``LOOK_UP``."""
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
    """``table_softmax`` with two tables for its exponential, added to ``tensors``."""
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
    """The constants of a node, with tensors in place of their names."""
    return {
        name: program.tensors[held] if isinstance(held, str) else held
        for name, held in node.constants.items()
    }


def _table(program: Program, node: Node) -> tuple[Tensor, Constants] | None:
    """The table of a node (all of its values minus ``base``, int8) and constants.

    None if the node is no function of one integer, as I-ViT's published GELU, which
    depends on the largest of its row, or has more than 2**16 arguments or 2**8 values.
    """
    if node.kind not in _TABULATED or not node.values:
        return None
    x, made = program.values[node.values[0]], program.values[node.output]
    if x.high - x.low >= 2**16 or x.bound >= 2**31 or made.high - made.low >= 2**8:
        return None
    constants = _held(program, node)
    arguments = torch.arange(x.low, x.high + 1).to(x.dtype)
    compute = node_function(node, made)
    values, alone = (compute([x], constants) for x in (arguments, arguments[:, None]))
    if not torch.equal(values, alone.flatten()):
        return None
    are_bytes = made.low >= -128 and made.high <= 127
    base = 0 if are_bytes else made.low + 128
    bytes_ = (values.to(torch.int32) - base).to(torch.int8)
    return bytes_, {'low': x.low, 'base': base}


def values_looked_up(x: Sequence[Tensor], constants: Constants) -> Tensor:
    """The function of a node of the kind :data:`LOOK_UP`, before it is clamped."""
    index = x[0].to(torch.int32) - constants['low']
    return look_up(x[1], index).to(torch.int32) + constants['base']


def look_up(table: Tensor, index: Tensor) -> Tensor:
    """``table[index]``, without a check that the index lies within the table.

    It does: nodes clamp their values, the whole graph clamps its inputs, and the table
    has an entry for every integer within these bounds.
    """
    return torch.ops.aten._unsafe_index.Tensor(table, [index])
