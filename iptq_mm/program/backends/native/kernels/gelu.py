"""Functions of one integer as tables, and interpolated_gelu without a table.

The epilogue of a product computes the latter in 16-bit lanes, which is quicker than its
table of 65536 entries.
"""

from __future__ import annotations

from collections.abc import Iterator
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from .....native.commands import U8
from .....native.storage import Storage
from ....ir.graph import Node, Value
from ....ir.semantics import node_function
from ..context import INT32, EmitterContext, Unsupported
from .weights import content_of

_I16 = 2**15


def tabulated(context: EmitterContext, node: Node, drop: int = 0) -> Tensor:
    """The results of an elementwise function for all values that its input can have.

    Args:
        context: The context.
        node: The node of the function.
        drop: How many of the lowest bits of its input it rounds away.

    Raises:
        Unsupported: If the function depends on whole rows, as I-ViT's published GELU.
    """
    source = context.program.values[node.values[0]]
    constants = {
        k: context.constant(node, k) if isinstance(v, str) else v
        for k, v in node.constants.items()
    }
    half = (1 << drop) >> 1
    every = torch.arange(
        (source.low + half) >> drop, ((source.high + half) >> drop) + 1
    )
    every = (every << drop).clamp_(source.low, source.high).to(source.dtype)
    compute = node_function(node, context.value(node))
    table, alone = (compute([x], constants) for x in (every, every[:, None]))
    if not torch.equal(table, alone.flatten()):
        name = (node.function or {}).get('type')
        raise Unsupported(f'{name}, whose results depend on whole rows')
    return table


#: Tables of codes in use, by all that decides what is in them: programs for other
#: numbers of rows, or other sizes of images, share them.
_IN_USE: WeakValueDictionary[tuple, Tensor] = WeakValueDictionary()


def codes_once(context: EmitterContext, node: Node, out: Storage) -> Tensor:
    """Codes of :func:`tabulated`; computed anew only if no program has them.

    Args:
        context: The context.
        node: The node of the function.
        out: Of its result, bytes or 16 bits.

    Returns:
        uint8 or int16, at least 256, and a multiple of four: kernels read four bytes at
        a time. It is shared: not to be changed.

    Raises:
        Unsupported: See :func:`tabulated`.
    """
    dtype = torch.uint8 if out.type == U8 else torch.int16
    values = context.program.values
    key = (
        *(
            (v.low, v.high, v.dtype)
            for v in (values[node.values[0]], context.value(node))
        ),
        (node.kind, repr(node.function), repr(sorted(node.attributes.items()))),
        tuple(_constants(context, node)),
        (out.zero_point, dtype),
    )
    codes = _IN_USE.get(key)
    if codes is None:
        table = tabulated(context, node).to(torch.int64) + out.zero_point
        codes = torch.zeros(max(256, -(-len(table) // 4) * 4), dtype=dtype)
        codes[: len(table)] = table.to(dtype)
        _IN_USE[key] = codes
    return codes


def _constants(context: EmitterContext, node: Node) -> Iterator[tuple]:
    """Names and contents of a node's constants."""
    for name, constant in sorted(node.constants.items()):
        if isinstance(constant, str):
            yield name, content_of(context.constant(node, name))
        else:
            yield name, constant


def line_fields(
    context: EmitterContext, node: Node, source: Value, value: Value, storage: Storage
) -> dict:
    """Fields of an ``Interpolation``; none if its numbers exceed 16-bit lanes."""
    names = 'position_multiplier', 'position_shift', 'fraction_bits'
    multiplier, position_shift, bits = (context.number(node, n) for n in names)
    names = 'relu_multiplier', 'shift', 'line_shift'
    relu, shift, up = (context.number(node, n) for n in names)
    table, slope = context.constant(node, 'table'), context.constant(node, 'slope')
    if up < 0:
        return {}
    # The first |x| beyond the table. Shifted by `left`, it leaves the position in the
    # product's upper 16 bits.
    last = -(-(64 << bits + position_shift) // multiplier)
    left = 16 - position_shift
    offset = (1 << (shift - 1)) + (storage.zero_point << shift)
    rise = slope << up
    # The line itself lies between two entries.
    most = source.bound * relu + (int(table.abs().max()) << bits + up) + abs(offset)
    fits = (
        0 <= left < 16
        and last << left < 2 * _I16
        and multiplier < 2 * _I16
        and 64 << bits <= 2 * _I16
        and 1 << bits + up < _I16
        and 0 <= relu < _I16
        and most + (int(rise.abs().max()) << bits) < INT32
        and source.low >= -_I16
        and source.high < _I16
        and all(-_I16 <= int(x) < _I16 for t in (table, rise) for x in t.aminmax())
    )
    if not fits:
        return {}
    return {
        'table': table.to(torch.int16).contiguous(),
        'slope': rise.to(torch.int16).contiguous(),
        'last': last,
        'left': left,
        'multiplier': multiplier,
        'fraction_bits': bits,
        'relu': relu,
        'up': up,
        'offset': offset,
        'shift': shift,
        'low': value.low + storage.zero_point,
        'high': value.high + storage.zero_point,
    }
