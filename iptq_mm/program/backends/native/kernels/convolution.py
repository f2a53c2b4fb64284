"""Convolutions: products of the pixels of each window, channels last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from .....native.commands import SLACK, U8
from .....native.storage import Storage
from ....ir.graph import Node
from ..context import EmitterContext, Unsupported, emitter
from ..copying import copied, dense, stored
from ..layout.tensor_ref import TensorRef
from .linear import by_rows, emit_product, factors

#: From so many channels on, a product reads the pixels of a window where they are.
_FEW_CHANNELS = 16


@emitter('conv2d')
def conv2d(context: EmitterContext, node: Node) -> TensorRef:
    """``F.conv2d``; channels come last."""
    weight, storage = factors(context, node)
    x = context.operand(node, 0)
    n, _, height, width = context.value(node).shape
    shape = (n, height, width, len(weight))
    pixels = x.permuted([0, 2, 3, 1])
    a, groups = node.attributes, node.attributes['groups']
    if groups != 1:
        made = _grouped(context, node, pixels, storage, weight, groups, shape)
    elif tuple(weight.shape[2:]) == (1, 1) and _is_usual(a):
        made = by_rows(context, node, pixels, storage, weight.flatten(1), shape)
    elif weight.shape[1] < _FEW_CHANNELS:
        made = _by_patches(context, node, x, storage, weight, shape)
    else:
        x, taps, fields = _taps(context, node, pixels, storage, weight, shape)
        made = emit_product(context, node, x, taps, shape, fields)
    return made.permuted([0, 3, 1, 2])


def _is_usual(a: dict) -> bool:
    return (*a['stride'], *a['padding']) == (1, 1, 0, 0)


def _by_patches(
    context: EmitterContext,
    node: Node,
    x: TensorRef,
    storage: Storage,
    weight: Tensor,
    shape: tuple[int, ...],
) -> TensorRef:
    """Copy the pixels of each window side by side, then multiply (im2col)."""
    a = node.attributes
    (top, left), (n, c) = a['padding'], x.shape[:2]
    if top or left:
        pads = [0, 0, top, left]
        x = x.moved('pad', {'before': pads, 'after': pads})
    if x.address_map is not None:
        x = dense(context, x)
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
    patches = copied(context, windows, storage)
    fields = {'a_row': c * kh * kw * storage.size, 'rows': None}
    weight = weight.flatten(1)[:, None]
    return emit_product(context, node, patches, weight, shape, fields)


def _pixels(context: EmitterContext, x: TensorRef, storage: Storage) -> TensorRef:
    """Pixels in a storage, the channels of each adjacent."""
    if x.storage != storage:
        return stored(context, x, storage)
    if x.address_map is not None or (x.shape[-1] > 1 and x.strides[-1] != 1):
        return dense(context, x)
    return x


def _window(node: Node, x: TensorRef, weight: Tensor, shape: Sequence[int]) -> dict:
    """Fields of a ``Window``."""
    a, size = node.attributes, x.storage.size
    zeros = torch.full((x.shape[3] + SLACK,), x.storage.zero_point)
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
        'image': image * size,
        'row': row * size,
        'pixel': pixel * size,
        'zeros': zeros.to(torch.uint8 if size == 1 else torch.int16),
    }


def _taps(
    context: EmitterContext,
    node: Node,
    x: TensorRef,
    storage: Storage,
    weight: Tensor,
    shape: Sequence[int],
) -> tuple[TensorRef, Tensor, dict]:
    """Pixels, weights of shape (n, taps, depth), and fields of a product of them.

    The product takes the pixels of each window where they are.
    """
    x = _pixels(context, x, storage)
    taps = weight.flatten(2).transpose(1, 2)
    window = _window(node, x, weight, shape)
    return x, taps, {'taps': taps.shape[1], 'window': window, 'rows': None}


def _grouped(
    context: EmitterContext,
    node: Node,
    x: TensorRef,
    storage: Storage,
    weight: Tensor,
    groups: int,
    shape: tuple[int, ...],
) -> TensorRef:
    """A depthwise convolution, or a product for each group."""
    x, taps, fields = _taps(context, node, x, storage, weight, shape)
    if weight.shape[1] == 1 and groups == len(weight):
        if storage.type != U8:
            raise Unsupported('depthwise products of more than 8 bits')
        fields['window']['depthwise'] = 1
        return emit_product(context, node, x, taps, shape, fields)
    whole = TensorRef.new(context.storage(context.value(node)), shape)
    n, c = len(weight) // groups, weight.shape[1]
    for g in range(groups):
        part = replace(x, offset=x.offset + g * c)
        into = replace(whole, offset=whole.offset + g * n)
        only = slice(g * n, (g + 1) * n)
        emit_product(context, node, part, taps[only], shape, fields, into, only)
    return whole
