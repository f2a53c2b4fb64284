"""interpolated_gelu computed in a product's epilogue: quicker than its table."""

from __future__ import annotations

import torch

from .....native.storage import Storage
from ....ir.graph import Node, Value
from ..compiler import INT32, Compiler

_I16 = 2**15


def line_fields(
    compiler: Compiler, node: Node, source: Value, value: Value, storage: Storage
) -> dict:
    """Fields of an ``Interpolation``; none where its numbers exceed 16-bit lanes."""
    names = 'position_multiplier', 'position_shift', 'fraction_bits'
    multiplier, position_shift, bits = (compiler.number(node, n) for n in names)
    names = 'relu_multiplier', 'shift', 'line_shift'
    relu, shift, up = (compiler.number(node, n) for n in names)
    table, slope = compiler.constant(node, 'table'), compiler.constant(node, 'slope')
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
