"""Signal over error as decibels that JSON can hold."""

from __future__ import annotations

import math

#: For equal and for vanishing values, whose ratio is not finite.
MOST_DB = 300.0


def decibels(signal: float, error: float) -> float:
    """10 log10 of the ratio of two powers, between -300 and 300 dB.

    Args:
        signal: Sum of squares of the reference.
        error: Sum of squares of the difference; infinite or NaN: the least.
    """
    if error == 0 or signal == 0:
        return MOST_DB if error == 0 else -MOST_DB
    if not math.isfinite(error):
        return -MOST_DB
    return max(-MOST_DB, min(10 * math.log10(signal / error), MOST_DB))
