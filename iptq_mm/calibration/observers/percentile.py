"""Percentiles of the values."""

from __future__ import annotations

import torch
from torch import Tensor

from ...registry import OBSERVERS
from .base import Observer
from .samples import Samples


@OBSERVERS.register_module('percentile')
class PercentileObserver(Observer):
    """Leaves out the same share of values at either end.

    99.99 covers from the 0.01th to the 99.99th percentile (two-sided, as in
    FQ-ViT); a symmetric quantizer covers the larger of their magnitudes.
    Histograms are interpolated linearly inside a bin, weights between
    neighbours in order (as ``torch.quantile``, which takes no more than 2**24
    values).

    Args:
        percentile: In percent, above 50 and up to 100.

    Raises:
        ValueError: If the percentile is out of range.
    """

    def __init__(self, percentile: float = 99.99) -> None:
        if not 50 < percentile <= 100:
            raise ValueError(f'a percentile is in (50, 100], not {percentile}')
        self.tail = (100 - percentile) / 100

    def search(
        self, samples: Samples, bits: int, symmetric: bool
    ) -> tuple[Tensor, Tensor]:
        """The two percentiles."""
        locate = _in_values if samples.weights is None else _in_bins
        low, high = locate(samples, self.tail)
        return low.double(), high.double()


def _in_values(samples: Samples, tail: float) -> tuple[Tensor, Tensor]:
    ordered = samples.values.sort(-1).values
    last = ordered.shape[-1] - 1
    first = int(tail * last)
    fraction = tail * last - first
    inner = min(first + 1, last)
    low = ordered[:, first].lerp(ordered[:, inner], fraction)
    high = ordered[:, last - first].lerp(ordered[:, last - inner], fraction)
    return low, high


def _in_bins(samples: Samples, tail: float) -> tuple[Tensor, Tensor]:
    assert samples.weights is not None
    weights = samples.weights
    below = weights.cumsum(-1)
    total = below[:, -1:]
    target = torch.cat([tail * total, total - tail * total], -1)  # (rows, 2)
    index = torch.searchsorted(below, target).clamp(max=weights.shape[-1] - 1)
    lower, upper = samples.lower.gather(-1, index), samples.upper.gather(-1, index)
    inside = weights.gather(-1, index)
    fraction = 1 - (below.gather(-1, index) - target) / inside
    found = lower + fraction.clamp(0, 1) * (upper - lower)
    return found[:, 0], found[:, 1]
