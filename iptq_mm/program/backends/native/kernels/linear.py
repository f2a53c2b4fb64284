"""Linear layers, and the matrix product that they share with convolutions."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from .....native.commands import NOTHING, U8, Gemm
from .....native.storage import Storage
from ....ir.graph import Node, Value
from ..context import EmitterContext, Unsupported, emitter
from ..copying import rows, stored
from ..layout.reorder import inverse, row_order
from ..layout.tensor_ref import TensorRef
from .gemm import GemmBuilder

_INT64 = 2**63


@emitter('linear')
def linear(context: EmitterContext, node: Node) -> TensorRef:
    """``F.linear``: one product of all rows."""
    weight, x = constant_weight(context, node), byte_input(context, node)
    return by_rows(context, node, x, weight, context.value(node).shape)


def constant_weight(context: EmitterContext, node: Node) -> Tensor:
    """The weight of a node, int8."""
    name = node.operands[1]
    if not isinstance(name, str):
        raise Unsupported('weights that are not constant')
    weight = context.program.tensors[name]
    if weight.dtype != torch.int8:
        raise Unsupported('weights of more than 8 bits')
    return weight


def _input(context: EmitterContext, node: Node) -> Value:
    operand = node.operands[0]
    if not isinstance(operand, int):
        raise Unsupported('a constant input')
    return context.program.values[operand]


def byte_storage(context: EmitterContext, node: Node) -> Storage:
    """The storage that a product reads its input in."""
    return context.storage(_input(context, node))


def byte_input(context: EmitterContext, node: Node) -> TensorRef:
    """The input of a product, in any layout and storage."""
    if byte_storage(context, node).type != U8:
        raise Unsupported('inputs of more than 8 bits')
    return context.operand(node, 0)


def by_rows(
    context: EmitterContext,
    node: Node,
    x: TensorRef,
    weight: Tensor,
    shape: tuple[int, ...],
) -> TensorRef:
    """One product of all rows of ``x``.

    Rows that are stored in another order are read as they are stored; the product
    writes its own rows where they belong.
    """
    targets = None
    count = math.prod(x.shape[:-1])
    if x.address_map is not None and x.storage.type == U8:
        order = row_order(x)
        if order is not None and count * x.shape[-1] == x.buffer.size:
            targets = inverse(order, count)
    if targets is not None:
        x = replace(TensorRef.new(x.storage, x.shape), buffer=x.buffer)
        distance = x.shape[-1]
    elif x.storage.type == U8:
        x, distance = rows(context, x)
    else:
        x, distance = stored(context, x, byte_storage(context, node)), x.shape[-1]
    fields = {'a_row': distance, 'rows': targets}
    return emit_product(context, node, x, weight[:, None], shape, fields)


def emit_product(
    context: EmitterContext,
    node: Node,
    x: TensorRef,
    weight: Tensor,
    shape: tuple[int, ...],
    fields: dict,
    into: TensorRef | None = None,
    only: slice = slice(None),
) -> TensorRef:
    """Emit the step of a matrix product.

    Args:
        context: The context.
        node: The linear layer or convolution.
        x: Its input.
        weight: int8, shape (n, taps, depth).
        shape: Shape of the result, channels last.
        fields: Fields of the layout of the product's rows.
        into: Where to store the result; None: in a new buffer.
        only: The output channels of the node that ``weight`` has.

    Raises:
        Unsupported: If 64 bits do not hold the requantization.
    """
    value = context.value(node)
    out = into or TensorRef.new(context.storage(value), shape)
    magnitudes = weight.abs().sum((1, 2), dtype=torch.int64)
    bound = magnitudes * _input(context, node).bound
    names = ('multiplier', 'offset', 'shift')
    multiplier, offset, shift = (context.constant(node, name)[only] for name in names)
    span = max(abs(out.storage.zero_point), 1)
    for b, f, o, s in zip(
        *(t.tolist() for t in (bound, multiplier, offset, shift)), strict=True
    ):
        if b * abs(f) + abs(o) + (span << s) >= _INT64:
            raise Unsupported('offsets of more than 64 bits')
    step = GemmBuilder(
        Gemm,
        {
            'a': x.address,
            'a_row': 0,
            'm': math.prod(shape[:-1]),
            'n': len(weight),
            'k': weight.shape[2],
            'taps': 0,
            'window': {},
            'post': NOTHING,
            'residual_rows': None,
            'out': out.address,
            'out_type': out.storage.type,
            'out_row': shape[-1],
            **fields,
        },
        weight=weight,
        factors=(multiplier, offset, shift),
        bound=bound,
        clamp=(value.low, value.high),
        zero_point=out.storage.zero_point,
        input_zero_point=x.storage.zero_point,
        storage=out.storage,
    )
    return context.emit(step, out)
