"""Products of two activations, and how such a product reads its operands."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from .....native.commands import I16, U8, MatMul
from .....native.storage import SIGNED_BYTES, Storage
from ....ir.graph import Node
from ..context import INT32, EmitterContext, Unsupported, emitter
from ..copying import dense, stored
from ..layout.steps import Step
from ..layout.tensor_ref import TensorRef
from .constants import constant_factor, place_of
from .requantization import requantization
from .softmax import largest_sum

_INT62 = 2**62


@emitter('matmul')
def matmul(context: EmitterContext, node: Node) -> TensorRef:
    """``a @ b``, one of them constant or none, ``b`` signed, of at most 16 bits."""
    value = context.value(node)
    if min(len(context.program.values[v].shape) for v in node.values) < 2:
        raise Unsupported('vectors', 'add a dimension of size 1')
    bound = _largest_sum(context, node)
    halves = bound >= INT32
    a, b, by_columns = _left(context, node, halves), *_right(context, node)
    storage = context.storage(value)
    out = TensorRef.new(storage, value.shape)
    batch = value.shape[:-2]
    a_at, a_row = group_offsets(_spread(a, batch), -2)
    b_at, b_row = group_offsets(_spread(b, batch), -2)
    out_at, out_row = group_offsets(out, -2)
    factor = context.factor(node)
    result = requantization(factor, value, storage.zero_point)
    if bound * abs(result['multiplier']) + abs(result['offset']) >= 2 * _INT62:
        raise Unsupported('sums and factors of more than 64 bits')
    fields = {
        'groups': math.prod(batch),
        'm': value.shape[-2],
        'n': value.shape[-1],
        'k': a.shape[-1],
        'halves': halves,
        'a': place_of(a),
        'a_type': a.storage.type,
        'a_zero_point': a.storage.zero_point,
        'a_at': a_at,
        'a_row': a_row,
        'b': place_of(b),
        'b_type': b.storage.type,
        'b_at': b_at,
        'b_row': b_row,
        'by_columns': by_columns,
        'result': result,
        'out': out.address,
        'out_at': out_at,
        'out_row': out_row,
        'out_type': storage.type,
    }
    context.append(Step(MatMul, fields))
    return out


def _largest_sum(context: EmitterContext, node: Node) -> int:
    """The largest magnitude of an accumulator."""
    maker = next(
        (n for n in context.program.nodes if n.output == node.operands[0]), None
    )
    bound = context.number(node, 'bound')
    if maker is not None and maker.kind == 'softmax':
        size = context.value(maker).shape[-1]
        second = node.operands[1]
        if isinstance(second, int):
            most = max(128, context.program.values[second].bound)
            bound = min(bound, largest_sum(context, maker, size) * most)
    return bound


def _left(context: EmitterContext, node: Node, halves: bool) -> TensorRef:
    operand = node.operands[0]
    if isinstance(operand, str):
        return _constant(context, operand)
    x, value = context.operand(node, 0), context.program.values[operand]
    if halves:
        if value.low < -(2**15) or value.high >= 2**16:
            raise Unsupported('operands of more than 16 bits')
    elif context.storage(value).type == U8:
        return as_bytes(context, node, 0)
    elif value.high - value.low >= 2**16:
        raise Unsupported('operands of more than 16 bits')
    elif x.storage.type != I16:
        return stored(context, x, Storage(I16, -value.low - 2**15))
    readable = x.address_map is None and x.strides[-1] == 1
    return x if readable else dense(context, x)


def _right(context: EmitterContext, node: Node) -> tuple[TensorRef, bool]:
    """The right operand, and whether it is stored by columns of the product."""
    operand = node.operands[1]
    if isinstance(operand, str):
        return _constant(context, operand), False
    x = context.operand(node, 1)
    swap = x.address_map is None and x.strides[-2] == 1
    if context.storage(context.program.values[operand]).type != I16:
        return as_bytes(context, node, 1, swap), swap
    if swap:
        x = x.moved('permute', {'dims': _swapped(len(x.shape))})
    if x.storage != Storage(I16):
        return stored(context, x, Storage(I16)), swap
    readable = x.address_map is None and x.strides[-1] == 1
    return x if readable else dense(context, x), swap


def _constant(context: EmitterContext, name: str) -> TensorRef:
    tensor = context.program.tensors[name]
    if tensor.dim() < 2:
        raise Unsupported('vectors', 'add a dimension of size 1')
    return constant_factor(tensor)


def _spread(x: TensorRef, batch: tuple[int, ...]) -> TensorRef:
    """An operand broadcast to leading dimensions."""
    moved = x.moved('expand', {'shape': [*batch, *x.shape[-2:]]})
    return replace(moved, producer=None)


def as_bytes(
    context: EmitterContext, node: Node, index: int, swap: bool = False
) -> TensorRef:
    """An operand of a product as bytes by strides, the last dimension dense.

    Args:
        context: The context.
        node: The product.
        index: Which operand; all but the first are signed.
        swap: Whether to swap the last two dimensions.
    """
    operand = node.operands[index]
    if not isinstance(operand, int):
        raise Unsupported('a constant operand')
    x, value = context.refs[operand], context.program.values[operand]
    wanted = context.storage(value)
    if wanted.type != U8 or (index and wanted != SIGNED_BYTES):
        raise Unsupported('operands of more than 8 bits')
    if swap:
        x = x.moved('permute', {'dims': _swapped(len(x.shape))})
    if x.storage != wanted:
        return stored(context, x, wanted)
    if x.address_map is not None or x.strides[-1] != 1:
        return dense(context, x)
    return x


def _swapped(rank: int) -> list[int]:
    return [*range(rank - 2), rank - 1, rank - 2]


def group_offsets(x: TensorRef, row: int) -> tuple[Tensor, int]:
    """Offset of each group, in elements, and the distance between its rows."""
    offsets = torch.full(x.shape[:-2], x.offset, dtype=torch.int64)
    for d, (n, stride) in enumerate(zip(x.shape[:-2], x.strides[:-2], strict=True)):
        steps = torch.arange(n) * stride
        offsets += steps.view([-1 if i == d else 1 for i in range(len(x.shape) - 2)])
    return offsets.flatten().contiguous(), x.strides[row]
