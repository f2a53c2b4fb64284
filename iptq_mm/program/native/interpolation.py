"""interpolated_gelu computed in a product's epilogue: quicker than its table."""

from __future__ import annotations

import torch

from ..graph import Node, Value
from .compiler import INT32, Compiler
from .factors import is_narrow
from .layout import Storage


def line_fields(
    compiler: Compiler, node: Node, source: Value, value: Value, storage: Storage
) -> dict:
    """Fields of an ``Interpolation``; none where its numbers are too large."""
    names = 'position_multiplier', 'position_shift', 'relu_multiplier', 'shift'
    multiplier, position_shift, relu, shift = (compiler.number(node, n) for n in names)
    up = compiler.number(node, 'line_shift')
    table, slope = compiler.constant(node, 'table'), compiler.constant(node, 'slope')
    offset = (1 << (shift - 1)) - (storage.base << shift)
    half = 1 << (position_shift - 1)
    fits = (
        0 <= up <= 30
        and is_narrow(source.bound * multiplier, half, position_shift)
        and is_narrow(source.bound * abs(relu) + (1 << 28 + up), offset, shift)
        and all(-(2**15) <= int(x) < 2**15 for t in (table, slope) for x in t.aminmax())
        and max(abs(multiplier), abs(relu)) < INT32
    )
    if not fits:
        return {}
    return {
        'lines': ((slope << 16) | (table & 0xFFFF)).to(torch.int32).contiguous(),
        'position_multiplier': multiplier,
        'position_shift': position_shift,
        'relu': relu,
        'line_factor': 1 << up,
        'offset': offset,
        'shift': shift,
        'low': value.low - storage.base,
        'high': value.high - storage.base,
    }
