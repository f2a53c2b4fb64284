"""Histograms of calibration in few bins, for a chart."""

from __future__ import annotations

from typing import Any

import torch

from ...statistics import Statistics

#: Bins of a chart: as wide as a phone can show.
BINS = 64


def drawn_histogram(statistics: Statistics) -> dict[str, Any]:
    """The counts of a value in :data:`BINS` equal bins.

    Args:
        statistics: Of the value; it has seen some.

    Returns:
        ``low`` and ``high``, the smallest and largest value, and ``counts``, whose sum
        is the number of values.
    """
    low, high = statistics.minimum, statistics.maximum
    centres, counts = statistics.samples()
    width = (high - low) or 1.0
    index = ((centres - low) / width * BINS).long().clamp(0, BINS - 1)
    bins = torch.zeros(BINS, dtype=torch.float64).index_add_(0, index, counts)
    return {'low': low, 'high': high, 'counts': bins.long().tolist()}
