"""Linear layers and convolutions, with what may follow them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from dataclasses import field as data_field

import torch
from torch import Tensor

from ..graph import Node, Value
from .commands import NOTHING, U8, Gemm
from .compiler import Compiler, Unsupported, emitter
from .copying import copied
from .layout import Located, Storage
from .steps import Step
from .weights import Panels, channels, pack

_INT64 = 2**63


@dataclass(eq=False)
class GemmStep(Step):
    """A product whose epilogue may still grow.

    Attributes:
        panels: The packed weights.
        factors: Multiplier, offset and shift by channel.
        bound: Largest magnitude of each channel's accumulator.
        clamp: Range of the result, before what follows.
        base: What the codes of that result are less than it.
        input_base: The same of the input.
        sums: Sum of the weights of each channel.
    """

    panels: Panels = data_field(kw_only=True)
    factors: tuple[Tensor, Tensor, Tensor] = data_field(kw_only=True)
    bound: Tensor = data_field(kw_only=True)
    clamp: tuple[int, int] = data_field(kw_only=True)
    base: int = data_field(kw_only=True)
    input_base: int = data_field(kw_only=True)
    sums: Tensor = data_field(kw_only=True)

    def final_fields(self) -> dict:
        """See the base class."""
        if 'start' not in self.fields:
            multiplier, offset, shift = self.factors
            made = channels(
                multiplier, offset, shift, self.bound, self.clamp, self.base
            )
            start = torch.zeros(self.panels.columns, dtype=torch.int32)
            start[: self.panels.n] = (self.sums * self.input_base).to(torch.int32)
            self.fields.update(
                weights=self.panels.data,
                bits=self.panels.bits,
                width=self.panels.width,
                start=start,
                quick=made.quick,
                multiplier=made.multiplier,
                offset=made.offset,
                up=made.up,
                shift=made.shift,
                low=made.low,
                high=made.high,
            )
        return self.fields


@emitter('linear')
def linear(compiler: Compiler, node: Node) -> Located:
    """``F.linear``: one product of all rows."""
    weight = _weight(compiler, node)
    x = _bytes(compiler, node)
    rows, distance = compiler.rows(x)
    if rows.storage.type != U8:
        rows, distance = compiler.stored(x, _byte_storage(compiler, node)), x.shape[-1]
    return _product(compiler, node, rows, distance, weight, compiler.value(node).shape)


@emitter('conv2d')
def conv2d(compiler: Compiler, node: Node) -> Located:
    """``F.conv2d``: patches side by side, then a product; channels come last."""
    weight, a = _weight(compiler, node), node.attributes
    x = _bytes(compiler, node)
    if a['groups'] != 1:
        raise Unsupported('groups')
    (top, left), (n, c) = a['padding'], x.shape[:2]
    if top or left:
        pads = [0, 0, top, left]
        x = compiler.dense(x.moved('pad', {'before': pads, 'after': pads}))
    _, _, height, width = compiler.value(node).shape
    kh, kw = weight.shape[2:]
    if x.positions is not None:
        x = compiler.dense(x)
    bn, bc, bh, bw = x.strides
    (sh, sw), (dh, dw) = a['stride'], a['dilation']
    shape = (n, height, width, c, kh, kw)
    strides = (bn, bh * sh, bw * sw, bc, bh * dh, bw * dw)
    windows = replace(x, shape=shape, strides=strides, producer=None)
    patches = copied(compiler, windows, _byte_storage(compiler, node))
    depth = c * kh * kw
    flat = patches.moved('reshape', {'shape': [n * height * width, depth]})
    channels_last = (n, height, width, len(weight))
    out = _product(compiler, node, flat, depth, weight.flatten(1), channels_last)
    return out.moved('permute', {'dims': [0, 3, 1, 2]})


def _weight(compiler: Compiler, node: Node) -> Tensor:
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


def _byte_storage(compiler: Compiler, node: Node) -> Storage:
    return compiler.storage(_input(compiler, node))


def _bytes(compiler: Compiler, node: Node) -> Located:
    if _byte_storage(compiler, node).type != U8:
        raise Unsupported('inputs of more than 8 bits')
    return compiler.operand(node, 0)


def _product(
    compiler: Compiler,
    node: Node,
    x: Located,
    distance: int,
    weight: Tensor,
    shape: tuple[int, ...],
) -> Located:
    value = compiler.value(node)
    storage = compiler.storage(value)
    out = Located.new(storage, shape)
    n, k = weight.shape
    m = out.buffer.size // storage.size // n
    magnitudes = weight.abs().sum(1, dtype=torch.int64)
    bound = magnitudes * _input(compiler, node).bound
    span = max(abs(storage.base), 1)
    multiplier, offset, shift = (
        compiler.constant(node, name) for name in ('multiplier', 'offset', 'shift')
    )
    for b, f, o, s in zip(
        *(t.tolist() for t in (bound, multiplier, offset, shift)), strict=True
    ):
        if b * abs(f) + abs(o) + (span << s) >= _INT64:
            raise Unsupported('offsets of more than 64 bits')
    step = GemmStep(
        Gemm,
        {
            'a': x.at,
            'a_row': distance,
            'm': m,
            'n': n,
            'k': k,
            'rows': None,
            'post': NOTHING,
            'out': out.at,
            'out_type': storage.type,
            'out_row': n,
        },
        panels=pack(weight),
        factors=(multiplier, offset, shift),
        bound=bound,
        clamp=(value.low, value.high),
        base=storage.base,
        input_base=x.storage.base,
        sums=weight.sum(1, dtype=torch.int64),
    )
    return compiler.emit(step, out)
