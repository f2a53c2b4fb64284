"""Softmax: fields of its functions, and the steps of one that is no attention's."""

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
from ..compiler import Compiler, Unsupported, emitter
from ..layout.located import Located
from ..layout.steps import Step

_FORMS = {
    'table_softmax': TABLES,
    'i_softmax': QUADRATIC,
    'shiftmax': CHORD,
    'bit_softmax': TANGENT,
    'log_int_softmax': POWERS,
}
#: Half a halving.
_HALF = 1 << 24


def softmax_fields(
    compiler: Compiler, node: Node, value: Value, storage: Storage
) -> dict:
    """Fields of a ``Softmax`` that makes codes.

    Args:
        compiler: The compiler.
        node: The softmax.
        value: What it makes.
        storage: How that is kept.

    Raises:
        Unsupported: If there is no kernel for the function.
    """
    function = node.function or {}
    name = str(function.get('type'))
    if name not in _FORMS or function.get('literal'):
        raise Unsupported(f'{name}{", literal" if function.get("literal") else ""}')
    form = _FORMS[name]
    prefix = '' if form == TABLES else 'split_'
    if compiler.number(node, f'{prefix}wide'):
        raise Unsupported('scores of more than 31 bits')
    if value.low > 0 or value.high >= 2**30:
        raise Unsupported('probabilities of more than 30 bits')
    fields: dict[str, Any] = {
        'form': form,
        'clamp': compiler.number(node, f'{prefix}clamp'),
        'down': compiler.number(node, f'{prefix}down'),
        'high': value.high,
        'zero_point': storage.zero_point,
    }
    if form == TABLES:
        if 'table' in node.constants:
            fields['table'] = compiler.constant(node, 'table').to(torch.int32)
        else:
            for n in ('fine', 'medium', 'mantissa', 'exponent'):
                fields[n] = compiler.constant(node, n).to(torch.uint16)
    else:
        fields['multiplier'] = compiler.number(node, 'split_multiplier')
        fields['cap'] = compiler.number(node, 'split_cap')
        nearest = (function.get('split') or 'nearest') == 'nearest'
        fields['half'] = _HALF if form == TANGENT and nearest else 0
    if form == POWERS:
        codes = compiler.constant(node, 'powers').clamp(value.low, value.high)
        fields |= {'table': codes.to(torch.int32), 'codes': len(codes)}
    else:
        fields['one'] = compiler.number(node, 'quotient_one')
        fields['quotient_shift'] = compiler.number(node, 'quotient_shift')
    return fields


def largest_sum(compiler: Compiler, node: Node, size: int) -> int:
    """What the probabilities of a row add up to at most.

    ``sum(e * reciprocal) <= one + total / 2``, and rounding adds at most 1/2 to each
    probability: a row is bounded more tightly than by its number of probabilities.
    """
    most = size * compiler.value(node).high
    if 'quotient_one' not in node.constants:
        return most
    shift = compiler.number(node, 'quotient_shift')
    return min(most, (2 * compiler.number(node, 'quotient_one') >> shift) + size)


@emitter('softmax')
def softmax(compiler: Compiler, node: Node) -> Located:
    """Softmax along the last dimension."""
    value = compiler.value(node)
    storage = compiler.storage(value)
    x, distance = compiler.rows(compiler.operand(node, 0))
    out = Located.new(storage, value.shape)
    fields = {
        'rows': math.prod(value.shape[:-1]),
        'size': value.shape[-1],
        'x': x.at,
        'x_type': x.storage.type,
        'x_zero_point': x.storage.zero_point,
        'x_row': distance,
        'softmax': softmax_fields(compiler, node, value, storage),
        'out': out.at,
        'out_type': storage.type,
        'out_row': value.shape[-1],
    }
    compiler.steps.append(Step(SoftmaxRows, fields))
    return out


def probability_storage(value: Value) -> Storage:
    """How an attention keeps probabilities: as what its product takes."""
    if value.high <= 255:
        return Storage(U8)
    return Storage(I16, -32768 if value.high > 32767 else 0)
