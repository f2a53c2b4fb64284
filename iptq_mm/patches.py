"""Convolutions as linear layers, which the roundings of weights work on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
    if padding == 'same':
        around = [d * (k - 1) for k, d in zip(kernel, dilations, strict=True)]
        before = [a // 2 for a in around]
        after = [a - b for a, b in zip(around, before, strict=True)]
    else:
        before = after = list((0, 0) if padding == 'valid' else pair(padding))
    # Integers of 16 bits are exact in float32, and unfold only moves them.
    padded = F.pad(x.float(), (before[1], after[1], before[0], after[0]))
    unfolded = F.unfold(padded, kernel, dilations, 0, steps)
    return unfolded.transpose(1, 2).flatten(0, 1).to(x.dtype)


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
