"""Softmax: the fields of its functions, and the emitter of one outside of attention."""

from __future__ import annotations

import math
from typing import Any

import torch

from .....native.commands import (
    CHORD,
    I16,
    POWERS,
    QUADRATIC,
    TABLES,
    TANGENT,
    U8,
    SoftmaxRows,
)
from .....native.storage import Storage
from ....ir.graph import Node, Value
from ..context import EmitterContext, Unsupported, emitter
from ..copying import rows
from ..layout.steps import Step
from ..layout.tensor_ref import TensorRef
from .forms import form_of

_FORMS = {
    'table_softmax': TABLES,
    'i_softmax': QUADRATIC,
    'shiftmax': CHORD,
    'bit_softmax': TANGENT,
    'log_int_softmax': POWERS,
}
#: One half, in the fixed point of base-2 exponents.
_HALF = 1 << 24


def softmax_fields(
    context: EmitterContext, node: Node, value: Value, storage: Storage
) -> dict:
    """Fields of a ``Softmax`` that makes codes.

    Args:
        context: The context.
        node: The softmax.
        value: Its result.
        storage: Storage of the result.

    Raises:
        Unsupported: If there is no kernel for the function.
    """
    function = node.function or {}
    form = form_of(node, _FORMS)
    prefix = '' if form == TABLES else 'split_'
    if context.number(node, f'{prefix}wide'):
        raise Unsupported('scores of more than 31 bits')
    if value.low > 0 or value.high >= 2**30:
        raise Unsupported('probabilities of more than 30 bits')
    fields: dict[str, Any] = {
        'form': form,
        'clamp': context.number(node, f'{prefix}clamp'),
        'down': context.number(node, f'{prefix}down'),
        'high': value.high,
        'zero_point': storage.zero_point,
    }
    if form == TABLES:
        if 'table' in node.constants:
            fields['table'] = context.constant(node, 'table').to(torch.int32)
        else:
            for n in ('fine', 'medium', 'mantissa', 'exponent'):
                # The bits of uint16, a type that not every torch has.
                fields[n] = context.constant(node, n).to(torch.int16)
    else:
        fields['multiplier'] = context.number(node, 'split_multiplier')
        fields['cap'] = context.number(node, 'split_cap')
        nearest = (function.get('split') or 'nearest') == 'nearest'
        fields['half'] = _HALF if form == TANGENT and nearest else 0
    if form == POWERS:
        codes = context.constant(node, 'powers').clamp(value.low, value.high)
        fields |= {'table': codes.to(torch.int32), 'codes': len(codes)}
    else:
        fields['one'] = context.number(node, 'quotient_one')
        fields['quotient_shift'] = context.number(node, 'quotient_shift')
    return fields


def largest_sum(context: EmitterContext, node: Node, size: int) -> int:
    """The largest possible sum of a row of probabilities.

    ``sum(e * reciprocal) <= one + total / 2``, and rounding adds at most 1/2 to each
    probability: a row is bounded more tightly than by its number of probabilities.
    """
    most = size * context.value(node).high
    if 'quotient_one' not in node.constants:
        return most
    shift = context.number(node, 'quotient_shift')
    return min(most, (2 * context.number(node, 'quotient_one') >> shift) + size)


@emitter('softmax')
def softmax(context: EmitterContext, node: Node) -> TensorRef:
    """Softmax along the last dimension."""
    value = context.value(node)
    storage = context.storage(value)
    x, distance = rows(context, context.operand(node, 0))
    out = TensorRef.new(storage, value.shape)
    fields = {
        'rows': math.prod(value.shape[:-1]),
        'size': value.shape[-1],
        'x': x.address,
        'x_type': x.storage.type,
        'x_zero_point': x.storage.zero_point,
        'x_row': distance,
        'softmax': softmax_fields(context, node, value, storage),
        'out': out.address,
        'out_type': storage.type,
        'out_row': value.shape[-1],
    }
    context.append(Step(SoftmaxRows, fields))
    return out


def probability_storage(value: Value) -> Storage:
    """The storage of probabilities within an attention: what its product reads."""
    if value.high <= 255:
        return Storage(U8)
    return Storage(I16, -32768 if value.high > 32767 else 0)
