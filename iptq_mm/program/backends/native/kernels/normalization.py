"""LayerNorm, in the three integer forms that have a kernel."""

from __future__ import annotations

import math

import torch

from .....native.commands import FQVIT, I16, IBERT, IVIT, U8, LayerNorm
from .....native.storage import Storage
from ....ir.graph import Node
from ..context import EmitterContext, Unsupported, emitter
from ..copying import rows, stored
from ..layout.steps import Step
from ..layout.tensor_ref import TensorRef
from .forms import form_of

_FORMS = {'ivit_layernorm': IVIT, 'ibert_layernorm': IBERT, 'fqvit_layernorm': FQVIT}
#: Fraction bits of what fqvit_layernorm adds.
_FQVIT_FRACTION = 16


@emitter('layer_norm')
def layer_norm(context: EmitterContext, node: Node) -> TensorRef:
    """LayerNorm along the last dimension; literal forms have no kernel."""
    form = form_of(node, _FORMS)
    value = context.value(node)
    source = context.program.values[node.values[0]]
    if source.low < -(2**15) or source.high >= 2**15:
        raise Unsupported('inputs of more than 16 bits')
    storage = context.storage(value)
    if storage.type not in (U8, I16):
        raise Unsupported('results of more than 16 bits')
    x = context.operand(node, 0)
    # The kernel reads words; values of this range fit, however they are stored.
    x = x if x.storage.type == I16 else stored(context, x, Storage(I16))
    x, distance = rows(context, x)
    out = TensorRef.new(storage, value.shape)
    step = Step(
        LayerNorm,
        {
            'form': form,
            'x': x.address,
            'x_row': distance,
            'rows': math.prod(value.shape[:-1]),
            'size': value.shape[-1],
            'rows_from': None,
            'root_shift': context.number(node, 'root_shift'),
            'epsilon': context.number(node, 'epsilon'),
            **_affine_fields(context, node, form, storage),
            'low': value.low + storage.zero_point,
            'high': value.high + storage.zero_point,
            'zero_point': storage.zero_point,
            'out': out.address,
            'out_type': storage.type,
            'out_row': value.shape[-1],
        },
    )
    return context.emit(step, out)


def _affine_fields(
    context: EmitterContext, node: Node, form: int, storage: Storage
) -> dict:
    """Fields of gamma and beta; the addend has the zero point of the result."""
    if form == FQVIT:
        sign, factor = (context.constant(node, n) for n in ('sign', 'factor'))
        half = 1 << (_FQVIT_FRACTION - 1)
        addend = context.constant(node, 'beta') + half
        return {
            'up': context.number(node, 'mean_bits'),
            'multiplier': (factor * sign).to(torch.int32),
            'exponent': context.constant(node, 'exponent').to(torch.int32),
            'addend': addend + (storage.zero_point << _FQVIT_FRACTION),
        }
    shift, addend = (
        context.number(node, 'out_shift'),
        context.constant(node, 'addend'),
    )
    low, high = addend.aminmax()
    if max(-int(low), int(high)) + (abs(storage.zero_point) << shift) >= 2**62:
        raise Unsupported('addends of more than 62 bits')
    return {
        'up': context.number(node, 'input_shift') if form == IBERT else 0,
        'reciprocal_bits': context.number(node, 'reciprocal_bits'),
        'drop': context.number(node, 'drop'),
        'shift': shift,
        'multiplier': context.constant(node, 'multiplier').to(torch.int32),
        'addend': addend + (storage.zero_point << shift),
    }
