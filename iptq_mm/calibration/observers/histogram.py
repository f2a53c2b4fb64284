"""The range that keeps most of the distribution (entropy calibration)."""

from __future__ import annotations

import torch
from torch import Tensor

from ...registry import OBSERVERS
from .base import Observer
from .samples import Samples

# A weight has no histogram of its own: bins over its range, per unit of sign.
_WEIGHT_BINS = 256
# Share spread over all bins, so that one empty bin is no infinite divergence.
_SMOOTHING = 1e-4


@OBSERVERS.register_module('histogram')
class HistogramObserver(Observer):
    """Least Kullback-Leibler divergence of the quantized distribution.

    TensorRT's algorithm (S. Migacz, "8-bit inference with TensorRT", GTC 2017,
    and NVIDIA's pytorch-quantization): for each candidate range, the histogram
    with its tails folded into the end bins is compared with the same bins
    merged into the quantizer's levels and spread out again. A symmetric
    quantizer looks at magnitudes; an affine one at signed values, with both
    ends drawn towards 0 in proportion, which for one-sided data is one end.

    With more levels than bins there is nothing to compare: the full range. The
    divergence knows shares and not distances, so that a long thin tail
    (attention probabilities) is given up more readily than by ``mse``.

    Args:
        candidates: At least how many ranges are tried, where bins suffice.
    """

    def __init__(self, candidates: int = 128) -> None:
        self.candidates = candidates

    def search(
        self, samples: Samples, bits: int, symmetric: bool
    ) -> tuple[Tensor, Tensor]:
        """The best range by row; ties go to the wider."""
        counts, origin, width = _signed_bins(samples, symmetric)
        zero = -origin / width  # the position of 0.0, in bins
        _level_zero(counts, zero)
        bins = counts.shape[1]
        levels = 2 ** (bits - 1) if symmetric else 2**bits
        least = torch.full_like(width, torch.inf)
        first, last = torch.zeros_like(width), torch.full_like(width, bins)
        for kept in range(bins, levels - 1, -max(1, bins // self.candidates)):
            start = (zero * (1 - kept / bins)).floor()
            stop = (zero + (bins - zero) * (kept / bins)).ceil()
            divergence = _divergence(counts, start.long(), stop.long(), levels)
            better = divergence < least
            first = torch.where(better, start, first)
            last = torch.where(better, stop, last)
            least = torch.where(better, divergence, least)
        low, high = origin + first * width, origin + last * width
        if symmetric:
            high = torch.minimum(high, torch.maximum(-samples.minimum, samples.maximum))
            return -high, high
        return torch.maximum(low, samples.minimum), torch.minimum(high, samples.maximum)


def _signed_bins(samples: Samples, symmetric: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Counts (rows, n), the left edge of bin 0 and the width of bins, by row."""
    values = samples.values.double()
    low, high = samples.minimum.clamp(max=0), samples.maximum.clamp(min=0)
    if symmetric:
        values = values.abs()
        low, high = torch.zeros_like(low), torch.maximum(-low, high)
    if samples.width:
        # The bins of the statistics themselves: others would beat with them.
        width = torch.full_like(low, samples.width)
        low = (low / width).floor() * width
        index = ((values - low[:, None]) / width[:, None]).long()
        needed = ((high - low) / width).ceil().max()  # up to 0.0, if all is below
        bins = max(int(index.max()) + 1, int(needed))
    else:
        bins = _WEIGHT_BINS if symmetric else 2 * _WEIGHT_BINS
        width = (high - low) / bins
        width = torch.where(width > 0, width, 1.0)
        index = ((values - low[:, None]) / width[:, None]).long().clamp(max=bins - 1)
    weights = torch.ones_like(values) if samples.weights is None else samples.weights
    counts = values.new_zeros(len(values), bins).scatter_add_(1, index, weights)
    return counts, low, width


def _level_zero(counts: Tensor, zero: Tensor) -> None:
    """Cap the bin of 0.0 at its larger neighbour, in place.

    Exact zeros (padding, ReLU) cost nothing to quantize, and their spike would
    decide alone (pytorch-quantization levels it likewise).
    """
    at = zero.floor().long().clamp(max=counts.shape[1] - 1)[:, None]
    padded = torch.nn.functional.pad(counts, (1, 1))
    neighbour = torch.maximum(padded.gather(1, at), padded.gather(1, at + 2))
    counts.scatter_(1, at, torch.minimum(counts.gather(1, at), neighbour))


def _divergence(counts: Tensor, start: Tensor, stop: Tensor, levels: int) -> Tensor:
    """KL divergence of bins ``start..stop-1`` quantized to ``levels``, by row."""
    start, stop = start[:, None], stop[:, None]
    place = torch.arange(counts.shape[1], device=counts.device)[None]
    inside = (place >= start) & (place < stop)
    kept = counts * inside
    level = ((place - start) * levels // (stop - start)).clamp(0, levels - 1)
    used = (kept > 0).double()
    empty = counts.new_zeros(len(counts), levels)
    sums = empty.scatter_add(1, level, kept)
    sharers = empty.scatter_add(1, level, used).clamp(min=1)
    q = (sums / sharers).gather(1, level) * used
    p = kept
    p.scatter_add_(1, start, (counts * (place < start)).sum(1, keepdim=True))
    p.scatter_add_(1, stop - 1, (counts * (place >= stop)).sum(1, keepdim=True))
    p = p / p.sum(1, keepdim=True)
    q = q / q.sum(1, keepdim=True)  # NaN, hence never chosen, if nothing is inside
    q = (1 - _SMOOTHING) * q + _SMOOTHING * inside / (stop - start)
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum(1)
