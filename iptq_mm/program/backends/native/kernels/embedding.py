"""Embeddings: rows of a table, copied from where the ids say."""

from __future__ import annotations

import torch

from .....native.commands import I16, I32, U8, Add, Gather
from .....native.storage import storage_of
from ....ir.graph import Node
from ..context import INT32, EmitterContext, Unsupported, emitter
from ..copying import dense, padded_shape, view
from ..layout.steps import Step
from ..layout.tensor_ref import TensorRef
from .requantization import sum_fields

_TYPES = {U8: torch.uint8, I16: torch.int16, I32: torch.int32}


@emitter('embedding')
def embedding(context: EmitterContext, node: Node) -> TensorRef:
    """Two commands: where each row begins, in bytes, and copies of the rows."""
    ids, value = dense(context, context.operand(node, 0)), context.value(node)
    given, table = (
        context.program.values[node.values[0]],
        context.constant(node, 'table'),
    )
    storage = context.storage(value)
    codes = table.to(_TYPES[storage.type])
    if storage.zero_point:
        codes = (table.long() + storage.zero_point).to(_TYPES[storage.type])
    row = table.shape[1] * storage.size
    last = given.high * row
    if last >= INT32 or given.low < 0:
        raise Unsupported('a table of more than 2 GB')
    count = torch.Size(ids.shape).numel()
    places = TensorRef.new(storage_of(torch.int64), (count,))
    # `row` times the id. The kind of sum that a command has clamps, too.
    total = sum_fields(row, 0, 0, 0, last, places.storage, ids.storage.bound)
    made = {
        'shape': padded_shape([count]),
        'out': {**view(places, [1]), 'zero_point': 0},
        'a': view(ids, [1]),
        'sum': total,
    }
    context.append(Step(Add, made))
    out = TensorRef.new(storage, value.shape)
    fields = {
        'a': codes.contiguous(),
        'out': out.address,
        'runs_from': places.address,
        'last': last,
        'runs': count,
        'size': row,
        'element': storage.size,
        'zero_point': storage.zero_point,
    }
    context.append(Step(Gather, fields))
    return out
