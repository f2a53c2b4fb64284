"""Convolutions: products of the pixels of each window, channels last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from .....native.commands import SLACK
from ....ir.graph import Node
from ..compiler import Compiler, emitter
from ..copying import copied
from ..layout.located import Located
from .linear import by_rows, byte_input, byte_storage, constant_weight, product

#: Channels from which on a convolution needs no patches side by side.
_FEW_CHANNELS = 16


@emitter('conv2d')
def conv2d(compiler: Compiler, node: Node) -> Located:
    """``F.conv2d``; channels come last."""
    weight, x = constant_weight(compiler, node), byte_input(compiler, node)
    n, _, height, width = compiler.value(node).shape
    shape = (n, height, width, len(weight))
    pixels = x.permuted([0, 2, 3, 1])
    a, groups = node.attributes, node.attributes['groups']
    if groups != 1:
        made = _grouped(compiler, node, pixels, weight, groups, shape)
    elif tuple(weight.shape[2:]) == (1, 1) and _is_usual(a):
        made = by_rows(compiler, node, pixels, weight.flatten(1), shape)
    elif weight.shape[1] < _FEW_CHANNELS:
        made = _by_patches(compiler, node, x, weight, shape)
    else:
        x, taps, fields = _taps(compiler, node, pixels, weight, shape)
        made = product(compiler, node, x, taps, shape, fields)
    return made.permuted([0, 3, 1, 2])


def _is_usual(a: dict) -> bool:
    return (*a['stride'], *a['padding']) == (1, 1, 0, 0)


def _by_patches(
    compiler: Compiler,
    node: Node,
    x: Located,
    weight: Tensor,
    shape: tuple[int, ...],
) -> Located:
    """Patches side by side, then a product."""
    a = node.attributes
    (top, left), (n, c) = a['padding'], x.shape[:2]
    if top or left:
        pads = [0, 0, top, left]
        x = x.moved('pad', {'before': pads, 'after': pads})
    if x.positions is not None:
        x = compiler.dense(x)
    _, height, width, _ = shape
    kh, kw = weight.shape[2:]
    bn, bc, bh, bw = x.strides
    (sh, sw), (dh, dw) = a['stride'], a['dilation']
    windows = replace(
        x,
        shape=(n, height, width, c, kh, kw),
        strides=(bn, bh * sh, bw * sw, bc, bh * dh, bw * dw),
        producer=None,
    )
    patches = copied(compiler, windows, byte_storage(compiler, node))
    fields = {'a_row': c * kh * kw, 'rows': None}
    weight = weight.flatten(1)[:, None]
    return product(compiler, node, patches, weight, shape, fields)


def _pixels(compiler: Compiler, node: Node, x: Located) -> Located:
    """Pixels as bytes, the channels of each side by side."""
    storage = byte_storage(compiler, node)
    if x.storage != storage:
        return compiler.stored(x, storage)
    if x.positions is not None or (x.shape[-1] > 1 and x.strides[-1] != 1):
        return compiler.dense(x)
    return x


def _window(node: Node, x: Located, weight: Tensor, shape: Sequence[int]) -> dict:
    """Fields of a ``Window``."""
    a, zero = node.attributes, x.storage.zero_point
    names = ('stride', 'padding', 'dilation')
    (sh, sw), (top, left), (down, across) = (a[name] for name in names)
    image, row, pixel, _ = x.strides
    return {
        'height': x.shape[1],
        'width': x.shape[2],
        'out_height': shape[1],
        'out_width': shape[2],
        'kernel_height': weight.shape[2],
        'kernel_width': weight.shape[3],
        'stride_height': sh,
        'stride_width': sw,
        'pad_top': top,
        'pad_left': left,
        'dilation_height': down,
        'dilation_width': across,
        'image': image,
        'row': row,
        'pixel': pixel,
        'zeros': torch.full((x.shape[3] + SLACK,), zero, dtype=torch.uint8),
    }


def _taps(
    compiler: Compiler, node: Node, x: Located, weight: Tensor, shape: Sequence[int]
) -> tuple[Located, Tensor, dict]:
    """Pixels, weights of shape (n, taps, depth), and fields of a product of them.

    The product takes the pixels of each window where they are.
    """
    x = _pixels(compiler, node, x)
    taps = weight.flatten(2).transpose(1, 2)
    window = _window(node, x, weight, shape)
    return x, taps, {'taps': taps.shape[1], 'window': window, 'rows': None}


def _grouped(
    compiler: Compiler,
    node: Node,
    x: Located,
    weight: Tensor,
    groups: int,
    shape: tuple[int, ...],
) -> Located:
    """Convolutions of each channel by itself, or of each group in turn."""
    x, taps, fields = _taps(compiler, node, x, weight, shape)
    if weight.shape[1] == 1 and groups == len(weight):
        fields['window']['depthwise'] = 1
        return product(compiler, node, x, taps, shape, fields)
    whole = Located.new(compiler.storage(compiler.value(node)), shape)
    n, c = len(weight) // groups, weight.shape[1]
    for g in range(groups):
        part = replace(x, offset=x.offset + g * c)
        into = replace(whole, offset=whole.offset + g * n)
        only = slice(g * n, (g + 1) * n)
        product(compiler, node, part, taps[only], shape, fields, into, only)
    return whole
