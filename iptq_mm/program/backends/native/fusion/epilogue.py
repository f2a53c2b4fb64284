"""What becomes part of the product before it: tables, ReLU, scales, residual adds."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from .....native.commands import ADD, I16, RESCALE, TABLE, U8
from ....ir.graph import Node
from ....ir.semantics import step as reference_step
from ..compiler import INT32, Compiler, Unsupported
from ..kernels.gelu import line_fields
from ..kernels.gemm import GemmStep, Tail
from ..layout.located import Located
from ..layout.reorder import row_order, scatter_rows


def _product(x: Located) -> GemmStep | None:
    """The product that made a value that nobody else needs."""
    return x.producer if isinstance(x.producer, GemmStep) else None


def fused_table(compiler: Compiler, node: Node) -> Located | None:
    """A function of single elements as part of the product before it."""
    x, value = compiler.operand(node, 0), compiler.value(node)
    step, out = _product(x), compiler.storage(value)
    if step is None or not step.plain or x.storage.type not in (U8, I16):
        return None
    if x.positions is not None or out.type != U8:
        return None
    source = compiler.program.values[node.values[0]]
    table = tabulated(compiler, node).to(torch.int64) + out.zero_point
    bytes_in = x.storage.type == U8
    step.zero_point = -source.low if bytes_in else 0
    codes = torch.zeros(max(256, len(table)), dtype=torch.uint8)
    codes[: len(table)] = table.to(torch.uint8)
    step.extend(TABLE, None, table=codes, table_type=U8)
    if not bytes_in and (node.function or {}).get('type') == 'interpolated_gelu':
        step.fields['line'] = line_fields(compiler, node, source, value, out)
    return step.store(x.made_anew(out))


def tabulated(compiler: Compiler, node: Node) -> Tensor:
    """A function of single elements, of all that its input can be.

    Raises:
        Unsupported: If the function looks at whole rows, as I-ViT's published GELU.
    """
    source = compiler.program.values[node.values[0]]
    constants = {
        k: compiler.constant(node, k) if isinstance(v, str) else v
        for k, v in node.constants.items()
    }
    every = torch.arange(source.low, source.high + 1).to(source.dtype)
    compute = reference_step(node, compiler.value(node))
    table, alone = (compute([x], constants) for x in (every, every[:, None]))
    if not torch.equal(table, alone.flatten()):
        raise Unsupported(f'{(node.function or {}).get("type")} of whole rows')
    return table


def fused_relu(compiler: Compiler, node: Node) -> Located | None:
    """ReLU as the lower bound of the product before it."""
    x, value = compiler.operand(node, 0), compiler.value(node)
    step = _product(x)
    if step is None or step.fields['post'] == TABLE:
        return None
    step.narrow(max(0, value.low), value.high)
    return step.store(x.made_anew(compiler.storage(value)))


def fused_requantize(compiler: Compiler, node: Node) -> Located | None:
    """A requantization as part of the product before it; zeros stay zeros."""
    x, value = compiler.operand(node, 0), compiler.value(node)
    step = _product(x)
    multiplier, shift = (compiler.number(node, n) for n in ('multiplier', 'shift'))
    if step is None or not step.plain or abs(multiplier) >= INT32:
        return None
    step.extend(RESCALE, Tail(multiplier, 0, shift, value.low, value.high))
    return step.store(x.made_anew(compiler.storage(value)))


def split_channels(x: Located, made: list[int]) -> Located | None:
    """A reshape that splits the channels of a product, the first factor last.

    What a transposed convolution makes of a pixel goes to several pixels: so they
    have their channels side by side.

    Args:
        x: Shape (n, c, h, w).
        made: The new shape, (n, c1, c2, c3, h, w).
    """
    step = _product(x)
    if step is None or step.fields['post'] == ADD:
        return None
    if len(x.shape) != 4 or x.order != [0, 2, 3, 1]:
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
    place = replace(Located.new(x.storage, shape), buffer=x.buffer, producer=step)
    return place.permuted([0, 5, 3, 4, 1, 2])


def fused_add(compiler: Compiler, node: Node) -> Located | None:
    """A residual add as part of the product before it."""
    if len(node.values) != 2 or len(set(node.values)) != 2:
        return None
    one, other = (compiler.located[v] for v in node.values)
    left, right = compiler.number(node, 'left'), compiler.number(node, 'right')
    made = _with_residual(compiler, node, one, other, left, right)
    return made or _with_residual(compiler, node, other, one, right, left)


def _with_residual(
    compiler: Compiler,
    node: Node,
    product: Located,
    residual: Located,
    left: int,
    right: int,
) -> Located | None:
    step, value = _product(product), compiler.value(node)
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
    if not product.is_contiguous:
        order = None if order is not None else scatter_rows(product, step.fields['m'])
        if order is None:
            return None
    fields = _residual_fields(compiler, residual)
    tail = Tail(left, right, compiler.number(node, 'shift'), value.low, value.high)
    step.extend(ADD, tail, rows=order, **fields)
    place = step.store(Located.new(compiler.storage(value), product.shape))
    compiler.again(step)
    return place.permuted([dims.index(d) for d in range(len(dims))])


def _residual_fields(compiler: Compiler, x: Located) -> dict:
    """Rows of a residual, which may repeat (an upsampled map)."""
    order = None if x.positions is None else row_order(x)
    if order is not None and int(order.min()) >= 0:
        rows = replace(Located.new(x.storage, x.shape), buffer=x.buffer)
        return {
            'residual': rows.at,
            'residual_row': x.shape[-1],
            'residual_rows': order.to(torch.int32),
        }
    rows, distance = compiler.rows(x)
    return {'residual': rows.at, 'residual_row': distance}
