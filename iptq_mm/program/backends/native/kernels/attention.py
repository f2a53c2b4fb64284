"""Attention: one step for each chain of products and softmax."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .....intmath.dyadic import Dyadic
from .....native.commands import U8, Attention
from .....native.storage import SIGNED_BYTES, Storage
from ....ir.graph import Node, Value
from ..compiler import INT32, Compiler, Unsupported
from ..fusion.attention_pattern import Chain
from ..layout.located import Located
from ..layout.steps import At, Step
from .requantization import is_narrow, requantization
from .softmax import largest_sum, probability_storage, softmax_fields


def emit_attention(compiler: Compiler, chain: Chain) -> Located:
    """The step of an attention.

    Raises:
        Unsupported: If a part of it has no kernel.
    """
    fields = _scores(compiler, chain) | _softmax(compiler, chain)
    value = compiler.value(chain.result)
    queries, keys = compiler.value(chain.scores).shape[-2:]
    v = as_bytes(compiler, chain.result, 1)
    sums = 128 * largest_sum(compiler, chain.softmax, keys)
    if fields['p_type'] != U8 and sums >= INT32:
        raise Unsupported('sums of more than 32 bits')
    storage = compiler.storage(value)
    out = _heads_last(storage, value.shape)
    depth = value.shape[-1]
    factor = _factor(compiler, chain.result)
    v_at, v_row = group_places(v, -2)
    out_at, out_row = group_places(out, -2)
    fields |= {
        'queries': queries,
        'keys': keys,
        'value_depth': depth,
        'v': At(v.buffer),
        'v_at': v_at,
        'v_row': v_row,
        'result': requantization(factor, value, storage.zero_point, INT32 - 1),
        'out': At(out.buffer),
        'out_at': out_at,
        'out_row': out_row,
        'out_type': storage.type,
    }
    return compiler.emit(Step(Attention, fields), out)


def as_bytes(compiler: Compiler, node: Node, index: int, swap: bool = False) -> Located:
    """An operand of a product as bytes by strides, the last dimension dense.

    Args:
        compiler: The compiler.
        node: A product.
        index: Which operand; all but the first are signed.
        swap: Whether to swap the last two dimensions.
    """
    operand = node.operands[index]
    if not isinstance(operand, int):
        raise Unsupported('a constant operand')
    x, value = compiler.located[operand], compiler.program.values[operand]
    wanted = compiler.storage(value)
    if wanted.type != U8 or (index and wanted != SIGNED_BYTES):
        raise Unsupported('operands of more than 8 bits')
    if swap:
        x = x.moved('permute', {'dims': _swapped(len(x.shape))})
    if x.storage != wanted:
        return compiler.stored(x, wanted)
    if x.positions is not None or x.strides[-1] != 1:
        return compiler.dense(x)
    return x


def _factor(compiler: Compiler, node: Node) -> Dyadic:
    return Dyadic(compiler.number(node, 'multiplier'), compiler.number(node, 'shift'))


def _scores(compiler: Compiler, chain: Chain) -> dict:
    """Fields of queries, keys and the scores that they make."""
    node = chain.scores
    value, bound = compiler.value(node), compiler.number(node, 'bound')
    if bound >= INT32:
        raise Unsupported('scores of more than 32 bits')
    q = as_bytes(compiler, node, 0)
    k = as_bytes(compiler, node, 1, swap=True)
    if q.shape[:-2] != k.shape[:-2]:
        raise Unsupported('heads that share keys')
    groups = math.prod(q.shape[:-2])
    additions = [_addition(compiler, n, groups) for n in chain.additions]
    empty: dict = {'addend': None, 'at': None, 'row': 0, 'sum': {}}
    q_at, q_row = group_places(q, -2)
    k_at, k_row = group_places(k, -2)
    return {
        'groups': groups,
        'depth': q.shape[-1],
        'q': At(q.buffer),
        'q_at': q_at,
        'q_row': q_row,
        'q_zero_point': q.storage.zero_point,
        'k': At(k.buffer),
        'k_at': k_at,
        'k_row': k_row,
        'score': requantization(_factor(compiler, node), value, 0, bound),
        'additions': len(additions),
        'addition': [*additions, empty, empty][:2],
    }


def _swapped(rank: int) -> list[int]:
    return [*range(rank - 2), rank - 1, rank - 2]


def _addition(compiler: Compiler, node: Node, groups: int) -> dict:
    """Fields of what is added to the scores."""
    value = compiler.value(node)
    if max(abs(value.low), value.high) >= INT32 // 2:
        raise Unsupported('scores of more than 31 bits')
    if node.kind == 'shifted':
        addend = node.constants['addend']
        left, right, shift = 1, 1, 0
    else:
        first = isinstance(node.operands[0], str)
        addend = node.operands[0 if first else 1]
        left, right = (compiler.number(node, n) for n in ('left', 'right'))
        left, right = (right, left) if first else (left, right)
        shift = compiler.number(node, 'shift')
    if max(abs(left), abs(right)) >= INT32:
        raise Unsupported('a factor of more than 32 bits')
    tensor = compiler.tensor(addend)
    table, at = _table(tensor, value, groups)
    offset = 1 << (shift - 1) if shift else 0
    source = node.values[0]
    product = compiler.program.values[source].bound * abs(left)
    product += int(table.abs().max()) * abs(right)
    return {
        'addend': table,
        'at': at,
        'row': value.shape[-1],
        'sum': {
            'left': left,
            'right': right,
            'offset': offset,
            'shift': shift,
            'low': value.low,
            'high': value.high,
            'fits_int32': is_narrow(product, offset, shift),
        },
    }


def _table(addend: Tensor, value: Value, groups: int) -> tuple[Tensor, Tensor]:
    """An addend as tables of (queries, keys), and which one each group takes."""
    if int(addend.abs().max()) >= INT32:
        raise Unsupported('addends of more than 32 bits')
    queries, keys = value.shape[-2:]
    while addend.ndim < 2:
        addend = addend.unsqueeze(0)
    tables = addend.expand(*addend.shape[:-2], queries, keys).to(torch.int32)
    tables = tables.contiguous()
    numbers = torch.arange(math.prod(tables.shape[:-2])).view(tables.shape[:-2])
    at = numbers.expand(value.shape[:-2]).reshape(groups) * (queries * keys)
    return tables, at.contiguous()


def group_places(x: Located, row: int) -> tuple[Tensor, int]:
    """Where each group begins, in elements, and the distance of its rows."""
    places = torch.full(x.shape[:-2], x.offset, dtype=torch.int64)
    for d, (n, stride) in enumerate(zip(x.shape[:-2], x.strides[:-2], strict=True)):
        steps = torch.arange(n) * stride
        places += steps.view([-1 if i == d else 1 for i in range(len(x.shape) - 2)])
    return places.flatten().contiguous(), x.strides[row]


def _softmax(compiler: Compiler, chain: Chain) -> dict:
    """Fields of the softmax and its probabilities."""
    value = compiler.value(chain.softmax)
    if value.low != 0 or value.high > 65535:
        raise Unsupported('probabilities of more than 16 bits')
    kept = probability_storage(value)
    fields = softmax_fields(compiler, chain.softmax, value, kept)
    return {'softmax': fields, 'p_type': kept.type}


def _heads_last(storage: Storage, shape: tuple[int, ...]) -> Located:
    """Room for (..., heads, queries, depth) that lies as (..., queries, heads, depth).

    This is the order that the projection after it wants.
    """
    if len(shape) < 3:
        return Located.new(storage, shape)
    *lead, heads, queries, depth = shape
    out = Located.new(storage, (*lead, queries, heads, depth))
    rank = len(shape)
    dims = [*range(rank - 3), rank - 2, rank - 3, rank - 1]
    return out.moved('permute', {'dims': dims})
