"""The emitter of means along dimensions."""

from __future__ import annotations

from .....intmath.dyadic import Dyadic
from .....native.commands import Mean
from .....native.fields import DIMS
from ....ir.graph import Node
from ..compiler import Compiler, Unsupported, emitter
from ..copying import padded_shape, view
from ..layout.located import Located
from ..layout.steps import Step
from .requantization import requantization


@emitter('mean')
def mean(compiler: Compiler, node: Node) -> Located:
    """A sum along dimensions, requantized."""
    x, value = compiler.operand(node, 0), compiler.value(node)
    if x.positions is not None:
        x = compiler.dense(x)
    rank = len(x.shape)
    away = sorted(d % rank for d in node.attributes['dim'])
    kept = [d for d in range(rank) if d not in away]
    if rank > DIMS or not away:
        raise Unsupported(f'{rank} dimensions')
    storage = compiler.storage(value)
    out = Located.new(storage, value.shape)
    order = kept + away
    sizes = [x.shape[d] for d in order]
    made, step = [0] * rank, 1
    for i in reversed(range(len(kept))):
        made[i], step = step, step * sizes[i]
    factor = Dyadic(compiler.number(node, 'multiplier'), compiler.number(node, 'shift'))
    fields = {
        'shape': padded_shape(sizes),
        'kept': DIMS - len(away),
        # The requantization adds the zero point.
        'out': {**view(out, made), 'zero_point': 0},
        'a': view(x, [x.strides[d] for d in order]),
        'result': requantization(factor, value, storage.zero_point),
    }
    compiler.steps.append(Step(Mean, fields))
    return out
