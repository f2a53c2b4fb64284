"""Linear layers, and the matrix product that they share with convolutions."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from .....native.commands import I16, NOTHING, U8, Gemm
from .....native.storage import Storage
from ....ir.graph import Node, Value
from ..context import INT32, EmitterContext, Unsupported, emitter
from ..copying import row_distance, rows, stored
from ..layout.reorder import inverse, row_order
from ..layout.tensor_ref import TensorRef
from .gemm import GemmBuilder
from .weights import row_sums

_INT64 = 2**63


@emitter('linear')
def linear(context: EmitterContext, node: Node) -> TensorRef:
    """``F.linear``: one product of all rows."""
    weight, storage = factors(context, node, unsigned=True)
    x, shape = context.operand(node, 0), context.value(node).shape
    return by_rows(context, node, x, storage, weight, shape)


def factors(
    context: EmitterContext, node: Node, unsigned: bool = False
) -> tuple[Tensor, Storage]:
    """The weight of a node, and the storage in which its product reads its input.

    The weight is int8, or int16 for inputs of 16 bits where 8 do not hold it.

    Args:
        context: The context.
        node: A linear layer or convolution.
        unsigned: Whether any 2**16 adjacent integers will do, 0 to 65535 for instance.

    Raises:
        Unsupported: If 16 bits do not hold them.
    """
    name, value = node.operands[1], _input(context, node)
    if not isinstance(name, str):
        raise Unsupported('weights that are not constant')
    weight, storage = context.program.tensors[name], context.storage(value)
    if weight.dtype == torch.int8 and storage.type == U8:
        return weight, storage
    if weight.dtype not in (torch.int8, torch.int16):
        raise Unsupported('weights of more than 16 bits')
    if value.low >= -(2**15) and value.high < 2**15:
        return _narrowed(weight), Storage(I16)
    if not unsigned or value.high - value.low >= 2**16:
        raise Unsupported('inputs of more than 16 bits, the sign included')
    return _narrowed(weight), Storage(I16, -value.low - 2**15)


def _narrowed(weight: Tensor) -> Tensor:
    """A weight as int8, if 8 bits hold it."""
    low, high = weight.aminmax() if weight.numel() else (0, 0)
    return weight.to(torch.int8) if low >= -(2**7) and high < 2**7 else weight


def _input(context: EmitterContext, node: Node) -> Value:
    operand = node.operands[0]
    if not isinstance(operand, int):
        raise Unsupported('a constant input')
    return context.program.values[operand]


def by_rows(
    context: EmitterContext,
    node: Node,
    x: TensorRef,
    storage: Storage,
    weight: Tensor,
    shape: tuple[int, ...],
) -> TensorRef:
    """One product of all rows of ``x``, which it reads in this storage.

    Rows that are stored in another order are read as they are stored; the product
    writes its own rows where they belong.
    """
    targets = None
    count = math.prod(x.shape[:-1])
    ready = x.storage.type == storage.type
    ordered = x.address_map is not None or (x.has_dense_rows and not row_distance(x))
    if ordered and ready and count * x.shape[-1] == x.buffer.size:
        order = row_order(x)
        if order is not None:
            targets = inverse(order, count)
    if targets is not None:
        x = replace(TensorRef.new(x.storage, x.shape), buffer=x.buffer)
        distance = x.shape[-1]
    elif ready:
        x, distance = rows(context, x)
    else:
        x, distance = stored(context, x, storage), x.shape[-1]
    fields = {'a_row': distance * storage.size, 'rows': targets}
    return emit_product(context, node, x, weight[:, None], shape, fields)


def _fit_int64(
    bound: Tensor, multiplier: Tensor, offset: Tensor, shift: Tensor, span: int
) -> bool:
    """Whether no requantization of accumulators up to ``bound`` leaves 64 bits."""
    products = bound.double() * multiplier.double().abs()
    about = products + offset.double().abs() + span * shift.double().exp2()
    if not len(about) or float(about.max()) < _INT64 / 2:  # floats are that exact
        return True
    channels = zip(*(t.tolist() for t in (bound, multiplier, offset, shift)))  # noqa: B905
    return all(b * abs(f) + abs(o) + (span << s) < _INT64 for b, f, o, s in channels)


def _moved(
    offset: Tensor, multiplier: Tensor, weight: Tensor, zero_point: int
) -> Tensor:
    """Offsets that take a zero point out of sums of products with codes.

    Raises:
        Unsupported: If 64 bits do not hold them.
    """
    sums = row_sums(weight).tolist()
    columns = zip(offset.tolist(), multiplier.tolist(), sums, strict=True)
    made = [b - f * zero_point * s for b, f, s in columns]
    if max(map(abs, made), default=0) >= _INT64:
        raise Unsupported('offsets of more than 64 bits')
    return torch.tensor(made, dtype=torch.int64)


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
        weight: As :func:`factors` has it, shape (n, taps, depth).
        shape: Shape of the result, channels last.
        fields: Fields of the layout of the product's rows.
        into: Where to store the result; None: in a new buffer.
        only: The output channels of the node that ``weight`` has.

    Raises:
        Unsupported: If 32 bits do not hold the sums of bytes, or 64 bits the
            requantization.
    """
    value = context.value(node)
    out = into or TensorRef.new(context.storage(value), shape)
    magnitudes = row_sums(weight, magnitudes=True)
    bound = magnitudes * _input(context, node).bound
    halves = bool(len(bound)) and int(bound.max()) >= INT32
    if halves and x.storage.type == U8:
        raise Unsupported('sums of more than 32 bits')
    if halves:
        weight = weight.to(torch.int16)
    names = ('multiplier', 'offset', 'shift')
    multiplier, offset, shift = (context.constant(node, name)[only] for name in names)
    zero_point = x.storage.zero_point
    if halves and zero_point:
        # Sums of 64 bits begin with 0: the offset makes up for the zero point.
        # Not below what sums of 32 bits hold: their quick form is not for these.
        bound = (magnitudes * 2**15).clamp_(min=INT32)
        offset = _moved(offset, multiplier, weight, zero_point)
        zero_point = 0
    span = max(abs(out.storage.zero_point), 1)
    if not _fit_int64(bound, multiplier, offset, shift, span):
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
            'words': x.storage.type == I16,
            'halves': halves,
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
        input_zero_point=zero_point,
        storage=out.storage,
    )
    return context.emit(step, out)
