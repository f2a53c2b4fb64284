"""Proof that a program computes the rows of its inputs one by one, and all alike.

A row is a slice along the first dimension: an image, or one of the boxes that a
detector has found, whose number is different in every image. If no node combines rows
or treats one unlike another, the same program serves any number of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten

from ...ir.graph import Node, Program
from ...tracing.trace import Traced

#: Elementwise kinds; a tensor among their operands must be the same for all rows.
_ELEMENTWISE = (
    'add',
    'mul',
    'gelu',
    'unary',
    'relu',
    'requantize',
    'add_constant',
    'negate',
    'to_levels',
)
#: Those of them whose constants do not depend on the place of an element.
_SAME_FOR_ALL = ('gelu', 'unary', 'requantize', 'to_levels')
#: Kinds that work along the last dimension.
_ALONG_LAST = ('linear', 'layer_norm', 'softmax', 'shift_channels')
#: Moves with the size of each dimension, by attribute.
_SIZED = {'reshape': 'shape', 'expand': 'shape', 'slice': 'sizes', 'strided': 'shape'}


def row_count(program: Program) -> int | None:
    """The number of rows of a row-wise program; None if it cannot be proved to be one.

    In a row-wise program, row ``i`` of every value depends on row ``i`` of the inputs
    only, by the same constants for every ``i``. A program for one row proves nothing.
    """
    shapes = {value.shape[:1] for value in program.values}
    if len(shapes) != 1 or shapes == {()}:
        return None
    ((rows,),) = shapes
    if rows < 2 or not all(_keeps_rows(program, node, rows) for node in program.nodes):
        return None
    return rows


def with_rows(program: Program, rows: int) -> Program:
    """The same program for another number of rows.

    Args:
        program: One for which :func:`row_count` gives a number.
        rows: The number wanted, at least 1.
    """
    tensors, nodes = dict(program.tensors), []
    for node in program.nodes:
        attributes, constants = dict(node.attributes), dict(node.constants)
        if node.kind in _SIZED:
            key = _SIZED[node.kind]
            attributes[key] = [rows, *attributes[key][1:]]
        elif node.kind == 'gather':
            attributes['shape'] = [rows, *attributes['shape'][1:]]
            name = f'{constants["index"]} of {rows} rows'
            tensors[name] = _index_of(rows, *_local_index(program, node))
            constants['index'] = name
        nodes.append(replace(node, attributes=attributes, constants=constants))
    values = [replace(v, shape=(rows, *v.shape[1:])) for v in program.values]
    used = {name for node in nodes for name in node.tensors}
    tensors = {name: t for name, t in tensors.items() if name in used}
    return replace(program, values=values, nodes=nodes, tensors=tensors)


def row_wise(trace_rows: Callable[[int], Traced]) -> Traced | None:
    """The trace of a module for two rows, if it serves any number of them.

    The program is proved to be row-wise. That the module's code makes the same program
    for other numbers is only observed, at three rows.

    Args:
        trace_rows: Traces the module for a number of rows.

    Returns:
        None if rows may meet, or the program depends on their number.
    """
    try:
        few = trace_rows(2)
        if row_count(few.program) != 2:
            return None
        more = trace_rows(3)
    # The module may take a certain number of rows only.
    except (RuntimeError, ValueError, IndexError):
        return None
    same = same_program(with_rows(few.program, 3), more.program)
    return few if same and _frame(few) == _frame(more) is not None else None


def _frame(traced: Traced) -> list | None:
    """The return value without the outputs; None if it has other tensors."""
    outputs = [torch.empty(0) for _ in traced.program.outputs]
    leaves, spec = tree_flatten(traced.rebuild(outputs))
    places = [next((i for i, y in enumerate(outputs) if x is y), None) for x in leaves]
    rest = [x for x, place in zip(leaves, places, strict=True) if place is None]
    if any(isinstance(x, Tensor) for x in rest):
        return None
    return [spec, places, rest]


def same_program(one: Program, other: Program) -> bool:
    """Whether two programs are equal but for the names of their tensors."""
    if (one.values, one.inputs, one.outputs) != (
        other.values,
        other.inputs,
        other.outputs,
    ):
        return False
    pairs = zip(one.nodes, other.nodes, strict=False)
    return len(one.nodes) == len(other.nodes) and all(
        _bare(a) == _bare(b)
        and all(
            torch.equal(one.tensors[x], other.tensors[y])
            for x, y in zip(a.tensors, b.tensors, strict=True)
        )
        for a, b in pairs
    )


def _bare(node: Node) -> tuple:
    """A node without the names of its tensors."""
    operands = [x if isinstance(x, int) else None for x in node.operands]
    constants = {
        k: v if isinstance(v, int) else None for k, v in node.constants.items()
    }
    function = node.function
    return node.kind, operands, node.output, constants, node.attributes, function


def _keeps_rows(program: Program, node: Node, rows: int) -> bool:
    """Whether row ``i`` of a node's output depends on row ``i`` of its inputs only."""
    rank = len(program.values[node.output].shape)
    given = [program.values[v].shape for v in node.values]
    if node.kind in _ELEMENTWISE:
        others = [x for x in node.operands if isinstance(x, str)]
        others += [x for x in node.constants.values() if isinstance(x, str)]
        others = [] if node.kind in _SAME_FOR_ALL else others
        alike = all(_alike(program.tensors[name], rank) for name in others)
        return alike and all(len(shape) == rank for shape in given)
    if node.kind in _ALONG_LAST:
        return rank >= 2 and isinstance(node.operands[0], int)
    check = _CHECKS.get(node.kind)
    return check is not None and check(program, node, rank, rows)


def _alike(tensor: Tensor, rank: int) -> bool:
    """Whether a tensor, broadcast to ``rank`` dimensions, is the same for all rows."""
    return tensor.dim() < rank or tensor.shape[0] == 1


def _matmul(program: Program, node: Node, rank: int, rows: int) -> bool:
    if rank == 2:  # rows times a matrix
        return len(node.values) == 1 and isinstance(node.operands[0], int)
    return all(
        _alike(program.tensors[x], rank)
        if isinstance(x, str)
        else len(program.values[x].shape) == rank
        for x in node.operands
    )


def _cat(program: Program, node: Node, rank: int, rows: int) -> bool:
    only_values = len(node.values) == len(node.operands)
    return only_values and node.attributes['dim'] % rank != 0


def _mean(program: Program, node: Node, rank: int, rows: int) -> bool:
    dims = len(program.values[node.values[0]].shape)
    return all(d % dims for d in node.attributes['dim'])


def _slice(program: Program, node: Node, rank: int, rows: int) -> bool:
    starts, sizes = node.attributes['starts'], node.attributes['sizes']
    return starts[0] == 0 and sizes[0] == rows and node.attributes['steps'][0] == 1


def _strided(program: Program, node: Node, rank: int, rows: int) -> bool:
    sizes, strides = node.attributes['shape'], node.attributes['strides']
    offset, size = node.attributes['offset'], _row_size(program, node)
    rest = zip(sizes[1:], strides[1:], strict=True)
    last = offset + sum((n - 1) * stride for n, stride in rest)
    return sizes[0] == rows and strides[0] == size and last < size


def _gather(program: Program, node: Node, rank: int, rows: int) -> bool:
    index = program.tensors[str(node.constants['index'])]
    local, size = _local_index(program, node)
    within = bool(((local >= -1) & (local < size)).all())
    return within and torch.equal(_index_of(rows, local, size).long(), index.long())


def _local_index(program: Program, node: Node) -> tuple[Tensor, int]:
    """Sources of the elements of the first row, and the number of elements of a row."""
    index = program.tensors[str(node.constants['index'])].long()
    rows = program.values[node.output].shape[0]
    return index.view(rows, -1)[0], _row_size(program, node)


def _index_of(rows: int, local: Tensor, size: int) -> Tensor:
    """The index of a gather that does to every row what ``local`` does to one."""
    starts = torch.arange(rows).view(-1, 1) * size
    index = torch.where(local < 0, -1, starts + local).flatten()
    return index.to(torch.int32 if rows * size < 2**31 else torch.int64)


def _row_size(program: Program, node: Node) -> int:
    return math.prod(program.values[node.values[0]].shape[1:])


#: Kind -> check(program, node, dimensions of the output, rows). All values have rows
#: as their first dimension already.
_CHECKS: dict[str, Callable[[Program, Node, int, int], bool]] = {
    'conv2d': lambda program, node, rank, rows: rank == 4,
    'matmul': _matmul,
    'cat': _cat,
    'mean': _mean,
    'max': _mean,
    'reshape': lambda program, node, rank, rows: True,  # rows stay in order
    'permute': lambda program, node, rank, rows: node.attributes['dims'][0] == 0,
    'expand': lambda program, node, rank, rows: (
        len(program.values[node.values[0]].shape) == rank
    ),
    'slice': _slice,
    'strided': _strided,
    'roll': lambda program, node, rank, rows: 0 not in node.attributes['dims'],
    'pad': lambda program, node, rank, rows: (
        node.attributes['before'][0] == node.attributes['after'][0] == 0
    ),
    'gather': _gather,
}
