"""Operations on single elements."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from .....intmath.dyadic import Dyadic
from .....native.commands import Add, Lookup, Multiply
from .....native.fields import DIMS
from .....native.storage import storage_of
from ....ir.graph import Node, Value
from ..compiler import INT32, Compiler, Unsupported, emitter
from ..copying import padded_shape, view
from ..fusion.epilogue import (
    fused_add,
    fused_relu,
    fused_requantize,
    fused_table,
    tabulated,
)
from ..layout.located import Located, collapsed, contiguous
from ..layout.steps import Buffer, Step
from .requantization import requantization, sum_fields

#: Codes that a table may have.
_MOST_CODES = 2**16


class _Constant(Buffer):
    """Stands for a constant tensor's memory in a place."""

    def __init__(self, tensor: Tensor) -> None:
        super().__init__(tensor.numel() * tensor.element_size())
        self.tensor = tensor


def _view(x: Located, strides: list[int]) -> dict:
    fields = view(x, strides)
    if isinstance(x.buffer, _Constant):
        fields['data'] = x.buffer.tensor
    return fields


def _place(tensor: Tensor) -> Located:
    if tensor.numel() and max(map(abs, map(int, tensor.aminmax()))) >= INT32:
        raise Unsupported('constants of more than 32 bits')
    tensor = tensor.contiguous()
    return Located(
        _Constant(tensor),
        storage_of(tensor.dtype),
        tuple(tensor.shape),
        contiguous(tuple(tensor.shape)),
    )


def _operand(compiler: Compiler, node: Node, index: int) -> Located:
    """An operand by strides, a constant one included."""
    operand = node.operands[index]
    if isinstance(operand, str):
        return _place(compiler.program.tensors[operand])
    x = compiler.operand(node, index)
    return x if x.positions is None else compiler.dense(x)


def _spread(x: Located, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of ``x`` broadcast to a shape."""
    missing = len(shape) - len(x.shape)
    strides = [0] * missing
    for n, s in zip(x.shape, x.strides, strict=True):
        strides.append(0 if n == 1 else s)
    return tuple(strides)


def _fields(
    out: Located, shape: tuple[int, ...], operands: list[Located]
) -> dict[str, object]:
    """Shape and views of an elementwise command."""
    strides = [out.strides, *(_spread(x, shape) for x in operands)]
    # In the order in which the result lies.
    dims = sorted(range(len(shape)), key=lambda d: -out.strides[d])
    ordered = [tuple(s[d] for d in dims) for s in strides]
    sizes, steps = collapsed(tuple(shape[d] for d in dims), ordered)
    if len(sizes) > DIMS:
        raise Unsupported(f'{len(sizes)} dimensions')
    fields: dict[str, object] = {'shape': padded_shape(sizes)}
    for name, x, step in zip(('out', 'a', 'b'), [out, *operands], steps):  # noqa: B905
        fields[name] = _view(x, step)
    # Commands make codes: the zero point is part of their offset.
    fields['out'] = {**_view(out, steps[0]), 'zero_point': 0}
    return fields


def _sum(
    compiler: Compiler,
    out: Located,
    operands: list[Located],
    value: Value,
    factors: tuple[int, int],
    shift: int,
) -> Located:
    if max(map(abs, factors)) >= INT32:
        raise Unsupported('a factor of more than 32 bits')
    fields = _fields(out, out.shape, operands)
    bound = max(x.storage.bound for x in operands)
    low, high = value.low, value.high
    fields['sum'] = sum_fields(*factors, shift, low, high, out.storage, bound)
    compiler.steps.append(Step(Add, fields))
    return out


def _result(
    compiler: Compiler, node: Node, operands: list[Located]
) -> tuple[Value, Located]:
    """The value of a node, and room for it that lies like its operands."""
    value = compiler.value(node)
    storage = compiler.storage(value)
    for x in operands:
        dims = x.order if x.shape == value.shape else None
        if dims is not None:
            room = Located.new(storage, tuple(value.shape[d] for d in dims))
            return value, room.permuted([dims.index(d) for d in range(len(dims))])
    return value, Located.new(storage, value.shape)


@emitter('add')
def add(compiler: Compiler, node: Node) -> Located:
    """A sum with one rounding, in the product before it where that is possible."""
    fused = fused_add(compiler, node)
    if fused is not None:
        return fused
    operands = [_operand(compiler, node, i) for i in range(2)]
    value, out = _result(compiler, node, operands)
    names = ('left', 'right')
    left, right = (compiler.number(node, name) for name in names)
    shift = compiler.number(node, 'shift')
    return _sum(compiler, out, operands, value, (left, right), shift)


@emitter('requantize')
def requantize(compiler: Compiler, node: Node) -> Located:
    """One tensor brought to another scale."""
    fused = fused_requantize(compiler, node)
    if fused is not None:
        return fused
    x = _operand(compiler, node, 0)
    value, out = _result(compiler, node, [x])
    factors = compiler.number(node, 'multiplier'), 0
    return _sum(compiler, out, [x], value, factors, compiler.number(node, 'shift'))


@emitter('negate')
def negate(compiler: Compiler, node: Node) -> Located:
    """``-x``."""
    x = _operand(compiler, node, 0)
    value, out = _result(compiler, node, [x])
    return _sum(compiler, out, [x], value, (-1, 0), 0)


@emitter('relu')
def relu(compiler: Compiler, node: Node) -> Located:
    """``max(x, 0)``."""
    fused = fused_relu(compiler, node)
    if fused is not None:
        return fused
    x = _operand(compiler, node, 0)
    value, out = _result(compiler, node, [x])
    positive = replace(value, low=max(0, value.low))
    return _sum(compiler, out, [x], positive, (1, 0), 0)


@emitter('shifted')
def shifted(compiler: Compiler, node: Node) -> Located:
    """``x`` plus a constant."""
    addend = compiler.tensor(node.constants['addend'])
    operands = [_operand(compiler, node, 0), _place(addend)]
    value, out = _result(compiler, node, operands[:1])
    return _sum(compiler, out, operands, value, (1, 1), 0)


@emitter('cat')
def cat(compiler: Compiler, node: Node) -> Located:
    """Each part requantized into its place."""
    value, out = _result(compiler, node, [])
    dim, start = node.attributes['dim'] % len(value.shape), 0
    for i in range(len(node.operands)):
        x = _operand(compiler, node, i)
        starts = [start if d == dim else 0 for d in range(len(value.shape))]
        steps = [1] * len(value.shape)
        part = {'starts': starts, 'sizes': list(x.shape), 'steps': steps}
        factors = compiler.number(node, f'multiplier{i}'), 0
        shift = compiler.number(node, f'shift{i}')
        _sum(compiler, out.moved('slice', part), [x], value, factors, shift)
        start += x.shape[dim]
    return out


@emitter('mul')
def mul(compiler: Compiler, node: Node) -> Located:
    """A product of elements."""
    operands = [_operand(compiler, node, i) for i in range(2)]
    factor = Dyadic(compiler.number(node, 'multiplier'), compiler.number(node, 'shift'))
    return _multiplied(compiler, node, operands, factor)


def _multiplied(
    compiler: Compiler, node: Node, operands: list[Located], factor: Dyadic
) -> Located:
    value, out = _result(compiler, node, operands)
    fields = _fields(out, out.shape, operands)
    if factor.shift:
        fields['result'] = requantization(factor, value, out.storage.zero_point)
    else:
        whole = sum_fields(1, 0, 0, value.low, value.high, out.storage)
        fields['result'] = {
            'multiplier': 1,
            **{k: whole[k] for k in ('offset', 'shift', 'low', 'high')},
        }
    compiler.steps.append(Step(Multiply, fields))
    return out


@emitter('amplify')
def amplify(compiler: Compiler, node: Node) -> Located:
    """``x`` times a power of two by channel."""
    powers = compiler.constant(node, 'powers').to(torch.int64)
    operands = [_operand(compiler, node, 0), _place(torch.ones_like(powers) << powers)]
    return _multiplied(compiler, node, operands, Dyadic(1, 0))


@emitter('gelu')
def gelu(compiler: Compiler, node: Node) -> Located:
    """Any integer GELU, as a table of all its inputs."""
    source = compiler.program.values[node.values[0]]
    if source.high - source.low >= _MOST_CODES:
        raise Unsupported('inputs of more than 16 bits')
    fused = fused_table(compiler, node)
    if fused is not None:
        return fused
    x = _operand(compiler, node, 0)
    _, out = _result(compiler, node, [x])
    table = tabulated(compiler, node).to(torch.int32) + out.storage.zero_point
    fields = _fields(out, out.shape, [x])
    fields |= {'table': table.contiguous(), 'first': source.low}
    compiler.steps.append(Step(Lookup, fields))
    return out
