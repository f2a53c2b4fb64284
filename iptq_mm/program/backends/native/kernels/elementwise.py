"""Elementwise operations that no product before them takes in."""

from __future__ import annotations

from dataclasses import replace

import torch

from .....intmath.dyadic import Dyadic
from .....native.commands import Add, Lookup, Multiply, Watch
from .....native.fields import DIMS
from ....ir.graph import Node, Value
from ....ir.watch import WATCH
from ..context import INT32, EmitterContext, Unsupported, emitter
from ..copying import dense, padded_shape, view
from ..layout.steps import Step
from ..layout.tensor_ref import TensorRef, collapsed
from .constants import Constant, constant_ref
from .gelu import tabulated
from .requantization import requantization, sum_fields

#: Entries that a table may have.
_MOST_CODES = 2**17
#: What to do about a sum of a 4-bit and a 16-bit operand.
_FINER = 'more bits for the coarser operand make it shorter'


def _view(x: TensorRef, strides: list[int]) -> dict:
    fields = view(x, strides)
    if isinstance(x.buffer, Constant):
        fields['data'] = x.buffer.tensor
    return fields


def _operand(context: EmitterContext, node: Node, index: int) -> TensorRef:
    """An operand by strides, a constant one included."""
    operand = node.operands[index]
    if isinstance(operand, str):
        return constant_ref(context.program.tensors[operand])
    x = context.operand(node, index)
    # Windows may have more dimensions than a command, a copy of them has fewer.
    few = len(x.shape) <= DIMS or x.is_contiguous
    return x if x.address_map is None and few else dense(context, x)


def _spread(x: TensorRef, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of ``x`` broadcast to a shape."""
    missing = len(shape) - len(x.shape)
    strides = [0] * missing
    for n, s in zip(x.shape, x.strides, strict=True):
        strides.append(0 if n == 1 else s)
    return tuple(strides)


def _fields(
    out: TensorRef, shape: tuple[int, ...], operands: list[TensorRef]
) -> dict[str, object]:
    """Shape and views of an elementwise command."""
    strides = [out.strides, *(_spread(x, shape) for x in operands)]
    # The outermost loop is the outermost dimension of the result in memory.
    dims = sorted(range(len(shape)), key=lambda d: -out.strides[d])
    ordered = [tuple(s[d] for d in dims) for s in strides]
    sizes, steps = collapsed(tuple(shape[d] for d in dims), ordered)
    if len(sizes) > DIMS:
        raise Unsupported(f'{len(sizes)} dimensions that cannot be merged')
    fields: dict[str, object] = {'shape': padded_shape(sizes)}
    for name, x, step in zip(('out', 'a', 'b'), [out, *operands], steps):  # noqa: B905
        fields[name] = _view(x, step)
    # Commands make codes: the zero point is part of their offset.
    fields['out'] = {**_view(out, steps[0]), 'zero_point': 0}
    return fields


def _sum(
    context: EmitterContext,
    out: TensorRef,
    operands: list[TensorRef],
    value: Value,
    factors: tuple[int, int],
    shift: int,
) -> TensorRef:
    if max(map(abs, factors)) >= INT32:
        raise Unsupported('a factor of more than 32 bits', _FINER)
    fields = _fields(out, out.shape, operands)
    bound = max(x.storage.bound for x in operands)
    low, high = value.low, value.high
    fields['sum'] = sum_fields(*factors, shift, low, high, out.storage, bound)
    context.append(Step(Add, fields))
    return out


def _result(
    context: EmitterContext, node: Node, operands: list[TensorRef]
) -> tuple[Value, TensorRef]:
    """The value of a node, and a new tensor for it, in the layout of an operand."""
    value = context.value(node)
    storage = context.storage(value)
    for x in operands:
        dims = x.order if x.shape == value.shape else None
        if dims is not None:
            out = TensorRef.new(storage, tuple(value.shape[d] for d in dims))
            return value, out.permuted([dims.index(d) for d in range(len(dims))])
    return value, TensorRef.new(storage, value.shape)


@emitter('add')
def add(context: EmitterContext, node: Node) -> TensorRef:
    """A sum with one rounding."""
    operands = [_operand(context, node, i) for i in range(2)]
    value, out = _result(context, node, operands)
    names = ('left', 'right')
    left, right = (context.number(node, name) for name in names)
    shift = context.number(node, 'shift')
    return _sum(context, out, operands, value, (left, right), shift)


@emitter('requantize')
def requantize(context: EmitterContext, node: Node) -> TensorRef:
    """A change of scale."""
    x = _operand(context, node, 0)
    value, out = _result(context, node, [x])
    factors = context.number(node, 'multiplier'), 0
    return _sum(context, out, [x], value, factors, context.number(node, 'shift'))


@emitter('negate')
def negate(context: EmitterContext, node: Node) -> TensorRef:
    """``-x``."""
    x = _operand(context, node, 0)
    value, out = _result(context, node, [x])
    return _sum(context, out, [x], value, (-1, 0), 0)


@emitter('relu')
def relu(context: EmitterContext, node: Node) -> TensorRef:
    """``max(x, 0)``."""
    x = _operand(context, node, 0)
    value, out = _result(context, node, [x])
    positive = replace(value, low=max(0, value.low))
    return _sum(context, out, [x], positive, (1, 0), 0)


@emitter('add_constant')
def add_constant(context: EmitterContext, node: Node) -> TensorRef:
    """``x`` plus a constant."""
    addend = context.tensor(node.constants['addend'])
    operands = [_operand(context, node, 0), constant_ref(addend)]
    value, out = _result(context, node, operands[:1])
    return _sum(context, out, operands, value, (1, 1), 0)


@emitter('cat')
def cat(context: EmitterContext, node: Node) -> TensorRef:
    """A concatenation: each operand is requantized into its slice of the result."""
    value, out = _result(context, node, [])
    dim, start = node.attributes['dim'] % len(value.shape), 0
    for i in range(len(node.operands)):
        x = _operand(context, node, i)
        starts = [start if d == dim else 0 for d in range(len(value.shape))]
        steps = [1] * len(value.shape)
        part = {'starts': starts, 'sizes': list(x.shape), 'steps': steps}
        factors = context.number(node, f'multiplier{i}'), 0
        shift = context.number(node, f'shift{i}')
        _sum(context, out.moved('slice', part), [x], value, factors, shift)
        start += x.shape[dim]
    return out


@emitter('mul')
def mul(context: EmitterContext, node: Node) -> TensorRef:
    """An elementwise product."""
    operands = [_operand(context, node, i) for i in range(2)]
    step, out = _multiplied(context, node, operands, context.factor(node))
    context.append(step)
    return out


def _multiplied(
    context: EmitterContext, node: Node, operands: list[TensorRef], factor: Dyadic
) -> tuple[Step, TensorRef]:
    value, out = _result(context, node, operands)
    fields = _fields(out, out.shape, operands)
    if factor.shift:
        fields['result'] = requantization(factor, value, out.storage.zero_point)
    else:
        whole = sum_fields(1, 0, 0, value.low, value.high, out.storage)
        fields['result'] = {
            'multiplier': 1,
            **{k: whole[k] for k in ('offset', 'shift', 'low', 'high')},
        }
    return Step(Multiply, fields), out


@emitter('shift_channels')
def shift_channels(context: EmitterContext, node: Node) -> TensorRef:
    """``x`` times a power of two by channel."""
    powers = context.constant(node, 'powers').to(torch.int64)
    operands = [
        _operand(context, node, 0),
        constant_ref(torch.ones_like(powers) << powers),
    ]
    return context.emit(*_multiplied(context, node, operands, Dyadic(1, 0)))


@emitter('gelu', 'unary', 'to_levels')
def function_of_one(context: EmitterContext, node: Node) -> TensorRef:
    """Any function of one integer, as a table of all inputs."""
    source = context.program.values[node.values[0]]
    x, first, drop = _operand(context, node, 0), source.low, 0
    if source.high - source.low >= _MOST_CODES:
        drop = int(node.constants.get('drop', 0))
        if not drop:
            raise Unsupported('inputs of more than 17 bits')
        # The function rounds the lowest bits away. So does a sum, before the table.
        half = 1 << (drop - 1)
        first, last = (source.low + half) >> drop, (source.high + half) >> drop
        rounded = Value.bounded(source.shape, first, last)
        storage = context.storage(rounded)
        short = TensorRef.new(storage, source.shape)
        x = _sum(context, short, [x], rounded, (1, 0), drop)
    _, out = _result(context, node, [x])
    table = tabulated(context, node, drop).to(torch.int32) + out.storage.zero_point
    fields = _fields(out, out.shape, [x])
    table = table.contiguous()
    fields |= {'table': table, 'first': first, 'last': len(table) - 1}
    context.append(Step(Lookup, fields))
    return out


@emitter(WATCH)
def watch(context: EmitterContext, node: Node) -> TensorRef:
    """Counts of what lies outside of a range."""
    x = _operand(context, node, 0)
    value, out = _result(context, node, [x])
    fields = _fields(out, out.shape, [x])
    made = fields['out']
    assert isinstance(made, dict)
    fields |= {
        'out': {**made, 'zero_point': out.storage.zero_point},
        'low': context.number(node, 'low'),
        'high': context.number(node, 'high'),
        'least': value.low,
        'most': value.high,
        'counts': context.constant(node, 'counts'),
    }
    context.append(Step(Watch, fields))
    return out
