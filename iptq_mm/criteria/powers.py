"""Powers of signals and errors of images, and their ratios."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..utils.decibels import decibels

#: Ratios of powers stay within 1/MAX_RATIO .. MAX_RATIO (see ``decibels``). float32
#: values that differ at all stay below 1e15; the limit serves the exact ones,
#: and keeps every figure finite, hence comparable and valid JSON.
MAX_RATIO = 1e30


def by_image(x: Tensor, q: Tensor, images: int) -> tuple[Tensor, Tensor, Tensor]:
    """Signal, error and ratio of each image, in float64."""
    check_shapes(x, q, images)
    x = x.detach().double().reshape(images, -1)
    signal = x.square().sum(1)
    error = (x - q.detach().double().reshape(images, -1)).square_().sum(1)
    ratio = signal / torch.maximum(error, signal / MAX_RATIO)
    return signal, error, torch.where((signal > 0) | error.isnan(), ratio, 0.0)


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
