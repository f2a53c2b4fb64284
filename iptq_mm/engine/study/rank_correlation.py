"""How well one figure puts things in the order of another."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def fractional_ranks(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Rank of each value from 1 on; equal values share the mean of their ranks."""
    values = np.asarray(values, dtype=np.float64)
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def spearman(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> float:
    """Spearman's rank correlation, -1 to 1; pairs with NaN do not count.

    NaN where there is no order: fewer than two pairs, or all values equal.

    Raises:
        ValueError: If the lengths differ.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f'{len(a)} values cannot be paired with {len(b)}')
    known = ~(np.isnan(a) | np.isnan(b))
    one, other = fractional_ranks(a[known]), fractional_ranks(b[known])
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return math.nan
    one, other = one - one.mean(), other - other.mean()
    return float((one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum()))
