"""Padding with what stands for 0.0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional as F

from ..intmath import QParams, storage_dtype
from .errors import UnsupportedOperationError
from .tensor import QTensor


def padded(x: QTensor, pad: Sequence[int]) -> QTensor:
    """Zeros around a tensor; around pixels, what a black-and-white zero became.

    Args:
        x: Integers, or floats before calibration.
        pad: As of ``torch.nn.functional.pad``.

    Raises:
        UnsupportedOperationError: If pixels are padded along another dimension than
            height and width.
    """
    if x.zero is None:
        return x.like(F.pad(x.payload, pad))
    if x.payload.dim() != 4 or any(pad[4:]):
        raise UnsupportedOperationError(
            'padding of pixels along batch or channels: set quantization.pixels=False'
        )
    zero = torch.tensor(x.zero, device=x.payload.device).view(-1, 1, 1)
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
        raise UnsupportedOperationError(
            f"padding '{padding}' of pixels: set quantization.pixels=False"
        )
    height, width = pair(padding)
    if not (height or width):
        return x
    return padded(x, (width, width, height, height))


def pair(value: Any) -> Any:
    """Height and width; a word ('same') stays a word."""
    if isinstance(value, str):
        return value
    height, width = (value, value) if isinstance(value, int) else value
    return height, width
