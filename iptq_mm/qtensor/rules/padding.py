"""Padding with the integer that stands for 0.0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional as F

from ...intmath import QParams, storage_dtype
from ...patches import pair
from ..errors import unsupported
from ..tensor import QTensor

_NO_PIXELS = 'set quantization.pixels=False'


def padded(x: QTensor, pad: Sequence[int]) -> QTensor:
    """A tensor with zeros around it; pixels are padded with their zero point.

    Args:
        x: Integers, or floats before calibration.
        pad: As in ``torch.nn.functional.pad``.

    Raises:
        UnsupportedOperationError: If pixels are padded along another dimension than
            height and width.
    """
    if x.zero_point is None:
        return x.like(F.pad(x.payload, pad))
    if x.payload.dim() != 4 or any(pad[4:]):
        raise unsupported(
            'padding of pixels along the batch or the channels has no rule', _NO_PIXELS
        )
    zero = torch.tensor(x.zero_point, device=x.payload.device).view(-1, 1, 1)
    if not x.is_integer:
        return x.like(F.pad(x.payload - zero, pad) + zero)
    assert isinstance(x.qparams, QParams)
    low, high = x.qparams.qmin, x.qparams.qmax
    moved = F.pad(x.payload.long() - zero, pad) + zero
    return x.like(moved.clamp(low, high).to(storage_dtype(low, high)))


def padded_for(x: QTensor, padding: Any) -> QTensor:
    """Pixels padded by the ``padding`` of a convolution.

    Raises:
        UnsupportedOperationError: If the padding is given by a word.
    """
    if isinstance(padding, str):
        raise unsupported(f"padding '{padding}' of pixels has no rule", _NO_PIXELS)
    height, width = pair(padding)
    if not (height or width):
        return x
    return padded(x, (width, width, height, height))


def counted(
    x: QTensor, kernel: Sequence[int], padding: str, dilation: Any
) -> tuple[QTensor, tuple[int, int]]:
    """The input and padding of a convolution whose padding is given by a word.

    Where ``'same'`` adds another number after than before, zeros are added here.

    Args:
        x: Its input.
        kernel: Height and width.
        padding: ``'same'`` or ``'valid'``.
        dilation: As in ``conv2d``.
    """
    if padding == 'valid':
        return x, (0, 0)
    height, width = (d * (k - 1) for k, d in zip(kernel, pair(dilation), strict=True))
    if height % 2 == width % 2 == 0:
        return x, (height // 2, width // 2)
    top, left = height // 2, width // 2
    return padded(x, (left, width - left, top, height - top)), (0, 0)
