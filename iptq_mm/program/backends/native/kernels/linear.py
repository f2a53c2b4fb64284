"""Linear layers, and the product that they share with convolutions."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from .....native.commands import NOTHING, U8, Gemm
from .....native.storage import Storage
from ....ir.graph import Node, Value
from ..compiler import Compiler, Unsupported, emitter
from ..layout.located import Located
from ..layout.reorder import inverse, row_order
from .gemm import GemmStep

_INT64 = 2**63


@emitter('linear')
def linear(compiler: Compiler, node: Node) -> Located:
    """``F.linear``: one product of all rows."""
    weight, x = constant_weight(compiler, node), byte_input(compiler, node)
    return by_rows(compiler, node, x, weight, compiler.value(node).shape)


def constant_weight(compiler: Compiler, node: Node) -> Tensor:
    """The weight of a node, int8."""
    name = node.operands[1]
    if not isinstance(name, str):
        raise Unsupported('weights that are not constant')
    weight = compiler.program.tensors[name]
    if weight.dtype != torch.int8:
        raise Unsupported('weights of more than 8 bits')
    return weight


def _input(compiler: Compiler, node: Node) -> Value:
    operand = node.operands[0]
    if not isinstance(operand, int):
        raise Unsupported('a constant input')
    return compiler.program.values[operand]


def byte_storage(compiler: Compiler, node: Node) -> Storage:
    """How the input of a product is to be kept."""
    return compiler.storage(_input(compiler, node))


def byte_input(compiler: Compiler, node: Node) -> Located:
    """The input of a product, wherever it is."""
    if byte_storage(compiler, node).type != U8:
        raise Unsupported('inputs of more than 8 bits')
    return compiler.operand(node, 0)


def by_rows(
    compiler: Compiler,
    node: Node,
    x: Located,
    weight: Tensor,
    shape: tuple[int, ...],
) -> Located:
    """One product of all rows; rows that lie in another order stay there."""
    targets = None
    rows = math.prod(x.shape[:-1])
    if x.positions is not None and x.storage.type == U8:
        order = row_order(x)
        if order is not None and rows * x.shape[-1] == x.buffer.size:
            targets = inverse(order, rows)
    if targets is not None:
        x = replace(Located.new(x.storage, x.shape), buffer=x.buffer)
        distance = x.shape[-1]
    elif x.storage.type == U8:
        x, distance = compiler.rows(x)
    else:
        x, distance = compiler.stored(x, byte_storage(compiler, node)), x.shape[-1]
    fields = {'a_row': distance, 'rows': targets}
    return product(compiler, node, x, weight[:, None], shape, fields)


def product(
    compiler: Compiler,
    node: Node,
    x: Located,
    weight: Tensor,
    shape: tuple[int, ...],
    fields: dict,
    into: Located | None = None,
    only: slice = slice(None),
) -> Located:
    """The step.

    Args:
        compiler: The compiler.
        node: The node.
        x: Its input.
        weight: int8, shape (n, taps, depth).
        shape: Of the result, channels last.
        fields: Where the rows of the product come from and go to.
        into: Where the result is to be; None: in a buffer of its own.
        only: Which of the node's channels these are.
    """
    value = compiler.value(node)
    out = into or Located.new(compiler.storage(value), shape)
    magnitudes = weight.abs().sum((1, 2), dtype=torch.int64)
    bound = magnitudes * _input(compiler, node).bound
    names = ('multiplier', 'offset', 'shift')
    multiplier, offset, shift = (compiler.constant(node, name)[only] for name in names)
    span = max(abs(out.storage.zero_point), 1)
    for b, f, o, s in zip(
        *(t.tolist() for t in (bound, multiplier, offset, shift)), strict=True
    ):
        if b * abs(f) + abs(o) + (span << s) >= _INT64:
            raise Unsupported('offsets of more than 64 bits')
    step = GemmStep(
        Gemm,
        {
            'a': x.at,
            'a_row': 0,
            'm': math.prod(shape[:-1]),
            'n': len(weight),
            'k': weight.shape[2],
            'taps': 0,
            'window': {},
            'post': NOTHING,
            'residual_rows': None,
            'out': out.at,
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
    return compiler.emit(step, out)
