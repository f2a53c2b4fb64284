"""What becomes part of the product before it: tables of GELU, residual adds."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..graph import Node, Value
from ..reference import step as reference_step
from .commands import ADD, I16, NOTHING, TABLE, U8
from .compiler import INT32, Compiler
from .factors import is_narrow, sum_fields
from .layout import Located, Storage
from .linear import GemmStep
from .reorder import scatter_rows


def fused_table(compiler: Compiler, node: Node) -> Located | None:
    """A function of single elements as part of the product before it."""
    x, value = compiler.operand(node, 0), compiler.value(node)
    step, out = x.producer, compiler.storage(value)
    if not isinstance(step, GemmStep) or step.fields['post'] != NOTHING:
        return None
    source = compiler.program.values[node.values[0]]
    if not x.is_contiguous or x.storage.type not in (U8, I16) or out.type != U8:
        return None
    table = tabulated(compiler, node, source).to(torch.int64) - out.base
    bytes_in = x.storage.type == U8
    step.base = source.low if bytes_in else 0
    place = Located.new(out, value.shape)
    codes = torch.zeros(max(256, len(table)), dtype=torch.uint8)
    codes[: len(table)] = table.to(torch.uint8)
    step.fields.update(
        post=TABLE, table=codes, table_type=U8, out=place.at, out_type=U8
    )
    if not bytes_in and (node.function or {}).get('type') == 'interpolated_gelu':
        step.fields['line'] = _line(compiler, node, source, value, out)
    return replace(place, producer=step)


def _line(
    compiler: Compiler, node: Node, source: Value, value: Value, storage: Storage
) -> dict:
    """Fields of an ``Interpolation``; none where its numbers are too large."""
    names = 'position_multiplier', 'position_shift', 'relu_multiplier', 'shift'
    multiplier, position_shift, relu, shift = (compiler.number(node, n) for n in names)
    up = compiler.number(node, 'line_shift')
    table, slope = compiler.constant(node, 'table'), compiler.constant(node, 'slope')
    offset = (1 << (shift - 1)) - (storage.base << shift)
    half = 1 << (position_shift - 1)
    fits = (
        0 <= up <= 30
        and is_narrow(source.bound * multiplier, half, position_shift)
        and is_narrow(source.bound * abs(relu) + (1 << 28 + up), offset, shift)
        and all(-(2**15) <= int(x) < 2**15 for t in (table, slope) for x in t.aminmax())
        and max(abs(multiplier), abs(relu)) < INT32
    )
    if not fits:
        return {}
    return {
        'lines': ((slope << 16) | (table & 0xFFFF)).to(torch.int32).contiguous(),
        'position_multiplier': multiplier,
        'position_shift': position_shift,
        'relu': relu,
        'line_factor': 1 << up,
        'offset': offset,
        'shift': shift,
        'low': value.low - storage.base,
        'high': value.high - storage.base,
    }


def tabulated(compiler: Compiler, node: Node, source: Value) -> Tensor:
    """A function of single elements, of all that its input can be."""
    constants = {
        k: compiler.constant(node, k) if isinstance(v, str) else v
        for k, v in node.constants.items()
    }
    every = torch.arange(source.low, source.high + 1).to(source.dtype)
    return reference_step(node, compiler.value(node))([every], constants)


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
    step = product.producer
    if not isinstance(step, GemmStep) or step.fields['post'] != NOTHING:
        return None
    value, shift = compiler.value(node), compiler.number(node, 'shift')
    n, storage = step.fields['n'], compiler.storage(value)
    if product.shape != residual.shape or product.shape[-1:] != (n,):
        return None
    if residual.storage.type != I16 or max(abs(left), abs(right)) >= INT32:
        return None
    if residual.producer is step:
        return None
    order = None
    if not product.is_contiguous:
        order = scatter_rows(product, step.fields['m'])
        if order is None:
            return None
    other, distance = compiler.rows(residual)
    place = Located.new(storage, value.shape)
    step.base = 0
    step.fields.update(
        post=ADD,
        rows=order,
        residual=other.at,
        residual_row=distance,
        sum=sum_fields(left, right, shift, value, storage, bound=2**15),
        out=place.at,
        out_type=storage.type,
    )
    compiler.again(step)
    return replace(place, producer=step)
