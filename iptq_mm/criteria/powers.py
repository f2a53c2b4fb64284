"""Powers of signals and errors of images, and their ratios."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ..utils.decibels import decibels

#: Ratios of powers stay within 1/MAX_RATIO .. MAX_RATIO (see ``decibels``). float32
#: values that differ at all stay below 1e15; the limit serves the exact ones,
#: and keeps every figure finite, hence comparable and valid JSON.
MAX_RATIO = 1e30


#: Elements of an image that are summed at a time: their float64 stay in the cache.
_BLOCK = 2**13


class Powers(NamedTuple):
    """Powers of a signal and its errors, by image, in float64.

    Attributes:
        signal: Sum of squares of the signal.
        error: Sum of squares of the errors.
        ratio: The first over the second; 0 without a signal.
    """

    signal: Tensor
    error: Tensor
    ratio: Tensor


def by_image(x: Tensor, q: Tensor, images: int) -> Powers:
    """Signal, error and ratio of each image.

    Args:
        x: The signal, its first dimensions over images first.
        q: What is made of it.
        images: How many there are.
    """
    check_shapes(x, q, images)
    return powers(squares(x, images), squares(x.detach() - q.detach(), images))


def powers(signal: Tensor, error: Tensor) -> Powers:
    """Powers from the sums of squares of a signal and its errors, by image."""
    ratio = signal / torch.maximum(error, signal / MAX_RATIO)
    ratio = torch.where((signal > 0) | error.isnan(), ratio, 0.0)
    return Powers(signal, error, ratio)


def squares(x: Tensor, images: int) -> Tensor:
    """Sums of squares by image, in float64."""
    rows = x.detach().reshape(images, -1)
    total = rows.new_zeros(images, dtype=torch.float64)
    for start in range(0, rows.shape[1], _BLOCK):
        part = rows[:, start : start + _BLOCK].to(torch.float64, copy=True)
        total += part.square_().sum(1)
    return total


def check_shapes(x: Tensor, q: Tensor, images: int) -> None:
    """Raise ValueError unless two tensors have one shape, divisible into images."""
    if x.shape != q.shape or images < 1 or x.numel() % images:
        raise ValueError(
            f'cannot compare {tuple(x.shape)} with {tuple(q.shape)} over '
            f'{images} images'
        )


def power_decibels(signal: float, error: float) -> float:
    """The ratio of two powers in decibels; NaN if one of them is."""
    if math.isnan(signal) or math.isnan(error):
        return math.nan
    return decibels(signal, error)


def average_sqnr(ratio: float, images: int) -> float:
    """``20 log10`` of the mean ratio; NaN without images."""
    if not images or math.isnan(ratio):
        return math.nan
    return 20 * math.log10(_limited(ratio / images))


def _limited(ratio: float) -> float:
    return min(max(ratio, 1 / MAX_RATIO), MAX_RATIO)
