"""Convolutions as linear layers, which the roundings of weights work on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def patches(
    x: Tensor,
    weight_shape: Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: int | str | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """The inputs of a two-dimensional convolution, as those of a linear layer.

    ``conv2d(x, w)`` is ``patches(x, w.shape) @ w.flatten(1).T``.

    Args:
        x: Integers within 16 bits, shape (N, C, H, W).
        weight_shape: Shape of the weight, (out, C, kh, kw).
        stride: As in ``torch.nn.functional.conv2d``.
        padding: As in ``conv2d``; the zeros around the image are inputs, too.
        dilation: As in ``conv2d``.
        groups: As in ``conv2d``.

    Returns:
        Integers of the type of ``x``, shape (N * L, C * kh * kw), where L is the
        number of positions of the kernel.

    Raises:
        ValueError: If the convolution has groups, each of which has other inputs, or
            if image and weight do not fit together.
    """
    windows = _windows(x, weight_shape, stride, padding, dilation, groups)
    return windows.permute(0, 2, 3, 1, 4, 5).reshape(-1, math.prod(weight_shape[1:]))


def patch_sums(
    x: Tensor,
    weights: Tensor | None,
    weight_shape: Sequence[int],
    **convolution: Any,
) -> Tensor:
    """The sums over the rows of :func:`patches`, which are not made for it.

    Args:
        x: Integers, in any type, shape (N, C, H, W).
        weights: How often each row counts, shape (N * L,). None: once.
        weight_shape: See :func:`patches`.
        **convolution: Stride, padding, dilation and groups: see there.

    Returns:
        Float64, exact up to 2**53, shape (C * kh * kw,).

    Raises:
        ValueError: As :func:`patches` does.
    """
    windows = _windows(x.double(), weight_shape, **convolution)
    if weights is None:
        return windows.sum((0, 2, 3)).flatten()
    counts = weights.double().view(len(x), *windows.shape[2:4])
    kernel = [(i, j) for i in range(windows.shape[4]) for j in range(windows.shape[5])]
    # Of one position at a time: all of them at once would be made in memory.
    sums = [torch.einsum('nchw,nhw->c', windows[..., i, j], counts) for i, j in kernel]
    return torch.stack(sums, 1).flatten()


def _windows(
    x: Tensor,
    weight_shape: Sequence[int],
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """A view of shape (N, C, rows, columns, kh, kw) of the padded image."""
    if groups != 1:
        raise ValueError(
            f'a convolution of {groups} groups is not one linear layer: round its '
            "weight with 'nearest'"
        )
    if x.ndim != 4 or len(weight_shape) != 4 or x.shape[1] != weight_shape[1]:
        raise ValueError(
            f'no two-dimensional convolution: input {tuple(x.shape)}, weight '
            f'{tuple(weight_shape)}'
        )
    kernel, (steps, dilations) = tuple(weight_shape[2:]), map(pair, (stride, dilation))
    around = [d * (k - 1) for k, d in zip(kernel, dilations, strict=True)]
    if padding == 'same':
        before = [a // 2 for a in around]
        after = [a - b for a, b in zip(around, before, strict=True)]
    else:
        before = after = list((0, 0) if padding == 'valid' else pair(padding))
    padded = F.pad(x, (before[1], after[1], before[0], after[0]))
    for axis in (0, 1):
        whole = padded.unfold(2 + axis, around[axis] + 1, steps[axis])
        padded = whole[..., :: dilations[axis]]
    return padded


def transposed_rows(weight: Tensor) -> Tensor:
    """A transposed convolution's weight as that of a linear layer.

    Args:
        weight: Shape (in, out, kh, kw).

    Returns:
        Shape (out * kh * kw, in): one row per output channel and position of the
        kernel.
    """
    return weight.permute(1, 2, 3, 0).reshape(-1, weight.shape[0])


def from_transposed_rows(rows: Tensor, shape: Sequence[int]) -> Tensor:
    """Inverse of :func:`transposed_rows`; ``shape`` is the weight's."""
    inputs, *places = shape
    return rows.reshape(*places, inputs).permute(3, 0, 1, 2).contiguous()


def pair(value: Any) -> Any:
    """``(height, width)`` of an argument given as one number or two; a word stays."""
    if isinstance(value, str):
        return value
    height, width = (value, value) if isinstance(value, int) else value
    return height, width
