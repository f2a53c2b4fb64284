"""LayerNorm and Mean."""

from __future__ import annotations

import math

import torch

from .....native.commands import FQVIT, I16, IBERT, IVIT, U8, LayerNorm
from .....native.storage import Storage
from ....ir.graph import Node
from ..compiler import Compiler, Unsupported, emitter
from ..layout.located import Located
from ..layout.steps import Step

_FORMS = {'ivit_layernorm': IVIT, 'ibert_layernorm': IBERT, 'fqvit_layernorm': FQVIT}
#: Fraction bits of what fqvit_layernorm adds.
_FQVIT_FRACTION = 16


@emitter('layer_norm')
def layer_norm(compiler: Compiler, node: Node) -> Located:
    """LayerNorm along the last dimension; published forms have no kernel."""
    function = node.function or {}
    name = str(function.get('type'))
    if name not in _FORMS or function.get('literal'):
        raise Unsupported(f'{name}{", literal" if function.get("literal") else ""}')
    value = compiler.value(node)
    source = compiler.program.values[node.values[0]]
    if source.low < -(2**15) or source.high >= 2**15:
        raise Unsupported('inputs of more than 16 bits')
    storage = compiler.storage(value)
    if storage.type not in (U8, I16):
        raise Unsupported('results of more than 16 bits')
    x = compiler.operand(node, 0)
    # Of whatever it is, 16 bits are made: values have no more.
    x = x if x.storage.type == I16 else compiler.stored(x, Storage(I16))
    x, distance = compiler.rows(x)
    out = Located.new(storage, value.shape)
    step = Step(
        LayerNorm,
        {
            'form': _FORMS[name],
            'x': x.at,
            'x_row': distance,
            'rows': math.prod(value.shape[:-1]),
            'size': value.shape[-1],
            'rows_from': None,
            'root_shift': compiler.number(node, 'root_shift'),
            'epsilon': compiler.number(node, 'epsilon'),
            **_factors(compiler, node, _FORMS[name], storage),
            'low': value.low + storage.zero_point,
            'high': value.high + storage.zero_point,
            'zero_point': storage.zero_point,
            'out': out.at,
            'out_type': storage.type,
            'out_row': value.shape[-1],
        },
    )
    return compiler.emit(step, out)


def _factors(compiler: Compiler, node: Node, form: int, storage: Storage) -> dict:
    """Fields of the affine part, the zero point of the result in what it adds."""
    if form == FQVIT:
        sign, factor = (compiler.constant(node, n) for n in ('sign', 'factor'))
        half = 1 << (_FQVIT_FRACTION - 1)
        addend = compiler.constant(node, 'beta') + half
        return {
            'up': compiler.number(node, 'mean_bits'),
            'multiplier': (factor * sign).to(torch.int32),
            'exponent': compiler.constant(node, 'exponent').to(torch.int32),
            'addend': addend + (storage.zero_point << _FQVIT_FRACTION),
        }
    shift, addend = (
        compiler.number(node, 'out_shift'),
        compiler.constant(node, 'addend'),
    )
    if max(abs(int(a)) for a in addend) + (abs(storage.zero_point) << shift) >= 2**62:
        raise Unsupported('addends of more than 62 bits')
    return {
        'up': compiler.number(node, 'input_shift') if form == IBERT else 0,
        'reciprocal_bits': compiler.number(node, 'reciprocal_bits'),
        'drop': compiler.number(node, 'drop'),
        'shift': shift,
        'multiplier': compiler.constant(node, 'multiplier').to(torch.int32),
        'addend': addend + (storage.zero_point << shift),
    }
