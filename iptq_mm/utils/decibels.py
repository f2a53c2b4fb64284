"""Signal-to-noise ratios in decibels, finite so that JSON can hold them."""

from __future__ import annotations

import math

#: The largest ratio: of equal values, whose error is 0. Vanishing values have minus it.
MOST_DB = 300.0


def decibels(signal: float, error: float) -> float:
    """The ratio of two powers in decibels, ``10 log10(signal / error)``.

    Limited to -300..300 dB.

    Args:
        signal: Sum of squares of the reference.
        error: Sum of squares of the difference. Where it is infinite or NaN, the
            result is -300 dB.
    """
    if error == 0:
        return MOST_DB
    ratio = signal / error if math.isfinite(error) else 0.0
    if ratio == 0:
        return -MOST_DB
    return max(-MOST_DB, min(10 * math.log10(ratio), MOST_DB))
