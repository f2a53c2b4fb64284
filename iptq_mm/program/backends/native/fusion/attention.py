"""The emitter of attention: one step for the whole pattern."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from .....native.commands import ADDITIONS, I32, U8, Attention
from .....native.storage import Storage
from ....ir.graph import Node, Value
from ..context import INT32, EmitterContext, Unsupported
from ..copying import dense, stored
from ..kernels.matmul import as_bytes, group_offsets
from ..kernels.requantization import fits_int32, requantization
from ..kernels.softmax import largest_sum, probability_storage, softmax_fields
from ..layout.steps import Address, Step
from ..layout.tensor_ref import TensorRef
from .attention_pattern import AttentionPattern

#: Rows of a matrix that are summed at a time.
_ROWS = 32


def emit_attention(context: EmitterContext, pattern: AttentionPattern) -> TensorRef:
    """Emit the step of an attention.

    Raises:
        Unsupported: If a part of it has no kernel.
    """
    _check_shapes(context, pattern)
    fields = _scores(context, pattern) | _softmax(context, pattern)
    value = context.value(pattern.result)
    queries, keys = context.value(pattern.scores).shape[-2:]
    v = as_bytes(context, pattern.result, 1)
    sums = 128 * largest_sum(context, pattern.softmax, keys)
    if fields['p_type'] != U8 and sums >= INT32:
        raise Unsupported('sums of more than 32 bits')
    storage = context.storage(value)
    out = _heads_last(storage, value.shape)
    depth = value.shape[-1]
    factor = context.factor(pattern.result)
    v_at, v_row = group_offsets(v, -2)
    out_at, out_row = group_offsets(out, -2)
    fields |= {
        'queries': queries,
        'keys': keys,
        'value_depth': depth,
        'v': Address(v.buffer),
        'v_at': v_at,
        'v_row': v_row,
        'result': requantization(factor, value, storage.zero_point, INT32 - 1),
        'out': Address(out.buffer),
        'out_at': out_at,
        'out_row': out_row,
        'out_type': storage.type,
    }
    return context.emit(Step(Attention, fields), out)


def _check_shapes(context: EmitterContext, pattern: AttentionPattern) -> None:
    """Refuse patterns between whose products rows or groups become others.

    A reshape may divide keys, for addends by row and by column, and an addend of more
    dimensions may make more scores of them.
    """
    shape = context.value(pattern.scores).shape
    for node in pattern.nodes[:-1]:
        made = context.value(node).shape
        if made[-2:] != shape[-2:] or math.prod(made) != math.prod(shape):
            raise Unsupported('scores that take another shape')
    result = context.value(pattern.result).shape
    if math.prod(result[:-2]) != math.prod(shape[:-2]):
        raise Unsupported('values of more groups than scores')


def _scores(context: EmitterContext, pattern: AttentionPattern) -> dict:
    """Fields of queries, keys and scores."""
    node = pattern.scores
    value, bound = context.value(node), context.number(node, 'bound')
    if bound >= INT32:
        raise Unsupported('scores of more than 32 bits')
    q = as_bytes(context, node, 0)
    k = as_bytes(context, node, 1, swap=True)
    if q.shape[:-2] != k.shape[:-2]:
        raise Unsupported('heads that share keys')
    groups = math.prod(q.shape[:-2])
    inside = {n.output for n in pattern.nodes}
    additions = [_addition(context, n, groups, inside) for n in pattern.additions]
    empty: dict = {
        'addend': None,
        'at': None,
        'row': 0,
        'most': 0,
        'hides': 0,
        'sum': {},
    }
    q_at, q_row = group_offsets(q, -2)
    k_at, k_row = group_offsets(k, -2)
    return {
        'groups': groups,
        'depth': q.shape[-1],
        'q': Address(q.buffer),
        'q_at': q_at,
        'q_row': q_row,
        'q_zero_point': q.storage.zero_point,
        'k': Address(k.buffer),
        'k_at': k_at,
        'k_row': k_row,
        'score': requantization(context.factor(node), value, 0, bound),
        'additions': len(additions),
        'addition': [*additions, *[empty] * (ADDITIONS - len(additions))],
    }


def _addition(
    context: EmitterContext, node: Node, groups: int, inside: set[int]
) -> dict:
    """Fields of an addition to the scores.

    Args:
        context: The context.
        node: The addition.
        groups: How many there are.
        inside: The values that the pattern makes, scores among them.
    """
    value = context.value(node)
    if max(abs(value.low), value.high) >= INT32 // 2:
        raise Unsupported('scores of more than 31 bits')
    source = next(v for v in node.values if v in inside)
    if node.kind == 'add_constant':
        addend: int | str = node.constants['addend']
        left, right, shift = 1, 1, 0
    else:
        first = node.operands[0] != source
        addend = node.operands[0 if first else 1]
        left, right = (context.number(node, n) for n in ('left', 'right'))
        left, right = (right, left) if first else (left, right)
        shift = context.number(node, 'shift')
    if max(abs(left), abs(right)) >= INT32:
        raise Unsupported('a factor of more than 32 bits')
    table: Tensor | Address
    if isinstance(addend, int):
        table, at, row = _computed(context, addend, value)
        most, hides = context.program.values[addend].bound, 0
    else:
        table, at = _table(context.tensor(addend), value, groups)
        row, most = value.shape[-1], int(table.abs().max())
        hides = _hides(table, row)
    offset = 1 << (shift - 1) if shift else 0
    product = context.program.values[source].bound * abs(left) + most * abs(right)
    return {
        'addend': table,
        'at': at,
        'row': row,
        'most': most,
        'hides': hides,
        'sum': {
            'left': left,
            'right': right,
            'offset': offset,
            'shift': shift,
            'low': value.low,
            'high': value.high,
            'fits_int32': fits_int32(product, offset, shift),
        },
    }


def _hides(tables: Tensor, keys: int) -> int:
    """The least that a mask subtracts where its entry is not 0; 0 if it is no mask.

    A mask has entries of 0 or less, and one of 0 in every row.
    """
    rest = -tables[tables != 0]
    if not rest.numel() or int(rest.min()) < 0:
        return 0
    whole = (tables.view(-1, keys) != 0).all(1).any()
    return 0 if whole else int(rest.min())


def _computed(
    context: EmitterContext, addend: int, value: Value
) -> tuple[Address, Tensor, int]:
    """Where an addend that was computed lies, each group's offset, and its row's."""
    x = context.refs[addend]
    if context.program.values[addend].bound >= INT32:
        raise Unsupported('addends of more than 32 bits')
    made = stored(context, replace(x, producer=None), Storage(I32))
    *lead, queries, keys = value.shape
    if made.shape[-1:] != (keys,) and keys > 1:
        last = made.moved('expand', {'shape': [*made.shape[:-1], keys]})
        made = dense(context, last)
    spread = made.moved('expand', {'shape': [*lead, queries, keys]})
    at, row = group_offsets(spread, -2)
    return Address(made.buffer), at, row


def _table(addend: Tensor, value: Value, groups: int) -> tuple[Tensor, Tensor]:
    """An addend as tables of (queries, keys), and the table's offset for each group.

    Equal tables become one: of the masks of a Swin's windows, four differ, and these
    stay in the cache.
    """
    queries, keys = value.shape[-2:]
    while addend.ndim < 2:
        addend = addend.unsqueeze(0)
    lead = addend.shape[:-2]
    tables = addend.expand(*lead, queries, keys).reshape(-1, queries * keys)
    tables, numbers = distinct(tables)
    if max(map(abs, map(int, tables.aminmax()))) >= INT32:
        raise Unsupported('addends of more than 32 bits')
    numbers = numbers.view(lead).expand(value.shape[:-2])
    at = numbers.reshape(groups) * (queries * keys)
    return tables.to(torch.int32).contiguous(), at.contiguous()


def distinct(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The distinct rows of a matrix of integers, and for each row its number there."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.randint(-(2**62), 2**62, rows.shape[1:], generator=generator)
    # Equal for equal rows; overflow does no harm. In parts that stay in the cache.
    sums = torch.cat([(part * weights).sum(1) for part in rows.split(_ROWS)])
    _, numbers = sums.unique(return_inverse=True)
    count = int(numbers.max()) + 1
    places = torch.empty(count, dtype=torch.int64)
    places[numbers] = torch.arange(len(rows))
    found = rows[places]
    if not torch.equal(found[numbers], rows):  # different rows had the same sum
        return rows, torch.arange(len(rows))
    return found, numbers


def _softmax(context: EmitterContext, pattern: AttentionPattern) -> dict:
    """Fields of the softmax and its probabilities."""
    value = context.value(pattern.softmax)
    if value.low != 0 or value.high > 65535:
        raise Unsupported('probabilities of more than 16 bits')
    kept = probability_storage(value)
    fields = softmax_fields(context, pattern.softmax, value, kept)
    return {'softmax': fields, 'p_type': kept.type}


def _heads_last(storage: Storage, shape: tuple[int, ...]) -> TensorRef:
    """A new tensor (..., heads, queries, depth), stored with the heads next to depth.

    The projection after an attention reads (..., queries, heads, depth).
    """
    if len(shape) < 3:
        return TensorRef.new(storage, shape)
    *lead, heads, queries, depth = shape
    out = TensorRef.new(storage, (*lead, queries, heads, depth))
    rank = len(shape)
    dims = [*range(rank - 3), rank - 2, rank - 3, rank - 1]
    return out.moved('permute', {'dims': dims})
