"""Means and maxima along dimensions."""

from __future__ import annotations

from .....native.commands import Mean
from .....native.fields import DIMS
from ....ir.graph import Node
from ..context import EmitterContext, Unsupported, emitter
from ..copying import dense, padded_shape, view
from ..layout.steps import Step
from ..layout.tensor_ref import TensorRef
from .requantization import requantization


@emitter('mean', 'max')
def reduction(context: EmitterContext, node: Node) -> TensorRef:
    """A sum or a maximum along dimensions, requantized."""
    x, value = context.operand(node, 0), context.value(node)
    if x.address_map is not None:
        x = dense(context, x)
    rank = len(x.shape)
    away = sorted(d % rank for d in node.attributes['dim'])
    kept = [d for d in range(rank) if d not in away]
    if rank > DIMS:
        raise Unsupported(f'tensors of {rank} dimensions')
    if not away:
        raise Unsupported('no dimensions')
    storage = context.storage(value)
    out = TensorRef.new(storage, value.shape)
    order = kept + away
    sizes = [x.shape[d] for d in order]
    made, step = [0] * rank, 1
    for i in reversed(range(len(kept))):
        made[i], step = step, step * sizes[i]
    factor = context.factor(node)
    fields = {
        'shape': padded_shape(sizes),
        'kept': DIMS - len(away),
        'largest': int(node.kind == 'max'),
        # The requantization adds the zero point.
        'out': {**view(out, made), 'zero_point': 0},
        'a': view(x, [x.strides[d] for d in order]),
        'result': requantization(factor, value, storage.zero_point),
    }
    context.append(Step(Mean, fields))
    return out
