"""Products of two activations that are no attention's."""

from __future__ import annotations

import math
from dataclasses import replace

from .....intmath.dyadic import Dyadic
from .....native.commands import I16, U8, MatMul
from .....native.storage import Storage
from ....ir.graph import Node
from ..compiler import INT32, Compiler, Unsupported, emitter
from ..layout.located import Located
from ..layout.steps import At, Step
from .attention import as_bytes, group_places
from .requantization import requantization
from .softmax import largest_sum


@emitter('matmul')
def matmul(compiler: Compiler, node: Node) -> Located:
    """``a @ b``, ``b`` of signed bytes, ``a`` of at most 16 bits."""
    value = compiler.value(node)
    if min(len(compiler.program.values[v].shape) for v in node.values) < 2:
        raise Unsupported('vectors')
    _check_sums(compiler, node)
    a, b, by_columns = _left(compiler, node), *_right(compiler, node)
    storage = compiler.storage(value)
    out = Located.new(storage, value.shape)
    batch = value.shape[:-2]
    a_at, a_row = group_places(_spread(a, batch), -2)
    b_at, b_row = group_places(_spread(b, batch), -2)
    out_at, out_row = group_places(out, -2)
    factor = Dyadic(compiler.number(node, 'multiplier'), compiler.number(node, 'shift'))
    fields = {
        'groups': math.prod(batch),
        'm': value.shape[-2],
        'n': value.shape[-1],
        'k': a.shape[-1],
        'a': At(a.buffer),
        'a_type': a.storage.type,
        'a_zero_point': a.storage.zero_point,
        'a_at': a_at,
        'a_row': a_row,
        'b': At(b.buffer),
        'b_at': b_at,
        'b_row': b_row,
        'by_columns': by_columns,
        'result': requantization(factor, value, storage.zero_point),
        'out': out.at,
        'out_at': out_at,
        'out_row': out_row,
        'out_type': storage.type,
    }
    compiler.steps.append(Step(MatMul, fields))
    return out


def _check_sums(compiler: Compiler, node: Node) -> None:
    """Make sure that 32 bits hold the accumulators."""
    maker = next(
        (n for n in compiler.program.nodes if n.output == node.operands[0]), None
    )
    bound = compiler.number(node, 'bound')
    if maker is not None and maker.kind == 'softmax':
        size = compiler.value(maker).shape[-1]
        bound = min(bound, largest_sum(compiler, maker, size) * 128)
    if bound >= INT32:
        raise Unsupported('sums of more than 32 bits')


def _left(compiler: Compiler, node: Node) -> Located:
    x = compiler.operand(node, 0)
    operand = node.operands[0]
    assert isinstance(operand, int)
    value = compiler.program.values[operand]
    if compiler.storage(value).type == U8:
        return as_bytes(compiler, node, 0)
    if value.high - value.low >= 2**16:
        raise Unsupported('operands of more than 16 bits')
    zero_point = 0 if x.storage.type == I16 else -value.low - 2**15
    storage = x.storage if x.storage.type == I16 else Storage(I16, zero_point)
    if x.storage != storage:
        return compiler.stored(x, storage)
    dense = x.positions is None and x.strides[-1] == 1
    return x if dense else compiler.dense(x)


def _right(compiler: Compiler, node: Node) -> tuple[Located, bool]:
    """The operand, and whether its rows are columns of the product."""
    x = compiler.operand(node, 1)
    if x.positions is None and x.strides[-2] == 1:
        return as_bytes(compiler, node, 1, swap=True), True
    return as_bytes(compiler, node, 1), False


def _spread(x: Located, batch: tuple[int, ...]) -> Located:
    """Broadcast to leading dimensions."""
    moved = x.moved('expand', {'shape': [*batch, *x.shape[-2:]]})
    return replace(moved, producer=None)
