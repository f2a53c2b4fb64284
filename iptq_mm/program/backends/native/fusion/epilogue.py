"""Fusion rules: nodes that become part of the epilogue of the product before them.

A rule gets a node whose operand is already lowered. If the operand's producer is a
:class:`..kernels.gemm.GemmBuilder` that nobody else uses and that can take the node in,
the rule changes it and returns where the result now is; otherwise it returns None, and
has changed nothing. :data:`RULES` lists them all; the driver tries them before it looks
for a kernel.

Why this is not a pass over the program (the IR), which would be the usual design:
whether a rule applies depends on layouts, and these exist only while steps are being
emitted. A residual add can be fused if rows of the product and of the residual lie in
buffers in an order that the command can express; a table, if the product's result is
stored in bytes or words at this point. The IR knows neither buffers nor storages, and
moves between the nodes (permute, roll, slice) are no commands but changes of layout. A
pass before would have to predict what the emitters do, a pass after would have to undo
their copies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from .....intmath import Dyadic
from .....native.commands import ADD, I16, RESCALE, TABLE, U8, Multiply
from ....ir.graph import Node
from ..context import INT32, EmitterContext
from ..copying import rows
from ..kernels.gelu import codes_once, line_fields, tabulated
from ..kernels.gemm import EpilogueSum, GemmBuilder
from ..kernels.requantization import requantization
from ..layout.reorder import row_order, scatter_rows
from ..layout.steps import Address
from ..layout.tensor_ref import TensorRef

#: Returns where the result of a fused node is; None: the rule does not apply.
Rule = Callable[[EmitterContext, Node], TensorRef | None]


def fuse(context: EmitterContext, node: Node) -> TensorRef | None:
    """Fuse a node into the product before it, and note that there.

    Returns:
        Where the result is; None if no rule applies.

    Raises:
        Unsupported: If nothing but the reference can compute the node.
    """
    rule = RULES.get(node.kind)
    made = None if rule is None else rule(context, node)
    if made is not None and made.producer is not None:
        made.producer.fused = [*made.producer.fused, node]
    return made


def _product(x: TensorRef) -> GemmBuilder | None:
    """The product that makes ``x``, if ``x`` has one consumer."""
    return x.producer if isinstance(x.producer, GemmBuilder) else None


def fuse_table(context: EmitterContext, node: Node) -> TensorRef | None:
    """``gelu(product)``: a table of all 256 or 65536 results of the product.

    ``out = table[code]``; the product must be stored in 16 bits or less, with an empty
    epilogue, and so must the result of the function.
    """
    x, value = context.operand(node, 0), context.value(node)
    step, out = _product(x), context.storage(value)
    if step is None or not step.plain or x.storage.type not in (U8, I16):
        return None
    if x.address_map is not None or out.type not in (U8, I16):
        return None
    source = context.program.values[node.values[0]]
    codes = codes_once(context, node, out)
    bytes_in = x.storage.type == U8
    step.zero_point = -source.low if bytes_in else 0
    step.extend(TABLE, None, table=codes, table_type=out.type)
    name = (node.function or {}).get('type')
    if not bytes_in and name == 'interpolated_gelu':
        step.fields['line'] = line_fields(context, node, source, value, out)
    return step.store(x.in_new_buffer(out))


def fuse_levels(context: EmitterContext, node: Node) -> TensorRef | None:
    """``to_levels(gelu(product))``: one table, of which the second is a part.

    Where vectors compute the first function themselves, they look up its bytes.
    """
    x, out = context.operand(node, 0), context.storage(context.value(node))
    step = _product(x)
    if step is None or x.storage.type != U8 or out.type != U8:
        return None
    if step.plain:
        return fuse_table(context, node)
    if step.fields['post'] != TABLE:
        return None
    source = context.program.values[node.values[0]]
    first = source.low + x.storage.zero_point
    codes = torch.zeros(256, dtype=torch.uint8)
    table = tabulated(context, node).to(torch.int64) + out.zero_point
    codes[first : first + len(table)] = table.to(torch.uint8)
    step.fields['table'] = codes[step.fields['table'].long()]
    if step.fields.get('line'):
        step.fields['line'] = {**step.fields['line'], 'codes': codes}
    return step.store(x.in_new_buffer(out))


def fuse_relu(context: EmitterContext, node: Node) -> TensorRef | None:
    """``relu(product)``: the lower bound of the clamp that is there anyway."""
    x, value = context.operand(node, 0), context.value(node)
    step = _product(x)
    if step is None or step.fields['post'] == TABLE:
        return None
    step.clamp_result(max(0, value.low), value.high)
    return step.store(x.in_new_buffer(context.storage(value)))


def fuse_requantize(context: EmitterContext, node: Node) -> TensorRef | None:
    """``requantize(product)``: ``clamp((code * multiplier + half) >> shift)``.

    It is not merged with the requantization of the product: two roundings are not one.
    """
    x, value = context.operand(node, 0), context.value(node)
    step = _product(x)
    multiplier, shift = (context.number(node, n) for n in ('multiplier', 'shift'))
    if multiplier == 1 and x.producer is not None and x.producer.command is Multiply:
        return _upper_bits(context, node, x, shift)
    if step is None or not step.plain or abs(multiplier) >= INT32:
        return None
    step.extend(RESCALE, EpilogueSum(multiplier, 0, shift, value.low, value.high))
    return step.store(x.in_new_buffer(context.storage(value)))


def _upper_bits(
    context: EmitterContext, node: Node, x: TensorRef, shift: int
) -> TensorRef | None:
    """``requantize(x * y)`` without a multiplier: the rounding of the product.

    So the channels of a value are shifted, and lose their lowest bits.
    """
    step, value = x.producer, context.value(node)
    assert step is not None
    made = context.program.values[node.values[0]]
    if step.fused or step.fields['result']['shift'] or made.bound >= INT32:
        return None
    out = x.in_new_buffer(context.storage(value))
    result = requantization(Dyadic(1, shift), value, out.storage.zero_point, made.bound)
    # All of it is written, however a move sees it by now.
    written = {'data': Address(out.buffer, 0), 'type': out.storage.type}
    view = {**step.fields['out'], **written}
    step.fields = {**step.fields, 'out': view, 'result': result}
    return replace(out, producer=step)


def fuse_reshape(context: EmitterContext, node: Node) -> TensorRef | None:
    """A reshape of (n, c, h, w) to (n, c1, c2, c3, h, w): ``c1`` is stored innermost.

    A transposed convolution is a product that makes the ``c1`` channels of ``c2 * c3``
    pixels at once. The columns of its weight are permuted, so that the channels of each
    of these pixels are adjacent.
    """
    operand = node.operands[0]
    if not isinstance(operand, int):
        return None
    x, made = context.refs[operand], node.attributes['shape']
    step = _product(x)
    if step is None or step.fields['post'] == ADD:
        return None
    if len(x.shape) != 4 or not x.permuted([0, 2, 3, 1]).is_whole:
        return None
    n, c, h, w = x.shape
    if len(made) != 6 or [made[0], *made[4:]] != [n, h, w] or made[1] * 16 < c:
        return None
    first, second, third = made[1:4]
    if step.fields['n'] != c or step.fields['rows'] is not None:
        return None
    order = torch.arange(c).view(first, second * third).t().flatten()
    step.permute(order)
    shape = (n, h, w, second, third, first)
    out = replace(TensorRef.new(x.storage, shape), buffer=x.buffer, producer=step)
    return out.permuted([0, 5, 3, 4, 1, 2])


def fuse_add(context: EmitterContext, node: Node) -> TensorRef | None:
    """``product + residual`` in one rounding.

    ``out = clamp((code * left + residual * right + half) >> shift)``. Either operand
    may be the product. It moves to the end of the steps, since it now reads the
    residual.
    """
    if len(node.values) != 2 or len(set(node.values)) != 2:
        return None
    first, second = (context.refs[v] for v in node.values)
    left, right = context.number(node, 'left'), context.number(node, 'right')
    made = _with_residual(context, node, first, second, left, right)
    return made or _with_residual(context, node, second, first, right, left)


def _with_residual(
    context: EmitterContext,
    node: Node,
    product: TensorRef,
    residual: TensorRef,
    left: int,
    right: int,
) -> TensorRef | None:
    step, value = _product(product), context.value(node)
    if step is None or not step.plain or residual.producer is step:
        return None
    if product.shape != residual.shape or residual.storage.type != I16:
        return None
    if max(abs(left), abs(right)) >= INT32:
        return None
    dims = product.order or list(range(len(product.shape)))
    product, residual = product.permuted(dims), residual.permuted(dims)
    if product.shape[-1:] != (step.fields['n'],):
        return None
    order = step.fields['rows']
    if not product.is_whole:
        order = None if order is not None else scatter_rows(product, step.fields['m'])
        if order is None:
            return None
    fields = _residual_fields(context, residual)
    shift = context.number(node, 'shift')
    total = EpilogueSum(left, right, shift, value.low, value.high)
    step.extend(ADD, total, rows=order, **fields)
    out = step.store(TensorRef.new(context.storage(value), product.shape))
    context.move_to_end(step)
    return out.permuted([dims.index(d) for d in range(len(dims))])


def _residual_fields(context: EmitterContext, x: TensorRef) -> dict:
    """Fields of the residual; its rows may repeat, as those of an upsampled map."""
    order = None if x.address_map is None else row_order(x)
    if order is not None and int(order.min()) >= 0:
        source = replace(TensorRef.new(x.storage, x.shape), buffer=x.buffer)
        return {
            'residual': source.address,
            'residual_row': x.shape[-1],
            'residual_rows': order.to(torch.int32),
        }
    source, distance = rows(context, x)
    return {'residual': source.address, 'residual_row': distance}


#: The fusion rules, by the kind of the node that disappears.
RULES: dict[str, Rule] = {
    'gelu': fuse_table,
    'unary': fuse_table,
    'to_levels': fuse_levels,
    'relu': fuse_relu,
    'requantize': fuse_requantize,
    'add': fuse_add,
    'reshape': fuse_reshape,
}
