"""Whether calibration saw images like those of the evaluation."""

from __future__ import annotations

import math

from ...statistics import Statistics

#: Images of one kind differ less: means by so many standard deviations, and standard
#: deviations by such a factor.
SHIFT, SPREAD = 0.5, 1.5
#: Few images differ from others by chance, too.
FEW_SHIFT, FEW_SPREAD = 2.0, 3.0
#: Fewer calibration images than these rarely show the ranges of all others.
FEW = 8
#: They were too few if at half of the layers, the values outside of what they showed
#: add so many dB to the error of rounding to 8 bits. The share of such values would not
#: do: it is the smaller, the more values a layer has (``benchmarks/unseen.py``).
UNSEEN_DB = 1.0
#: Bits of the rounding.
_BITS = 8


def unlike(before: Statistics, now: tuple[float, float], images: int | None) -> str:
    """How the evaluation differs from calibration, as a clause; '' if it does not.

    Args:
        before: What entered a region in calibration.
        now: Mean and standard deviation of what enters it in the evaluation.
        images: How many images calibrated, or were evaluated if these were fewer; None:
            not known.
    """
    if not before.count:
        return ''
    few = images is not None and images < FEW
    shift, factor = (FEW_SHIFT, FEW_SPREAD) if few else (SHIFT, SPREAD)
    (mean, spread), (new_mean, new_spread) = moments(before), now
    least = max(min(spread, new_spread), 1e-12)
    if (
        abs(mean - new_mean) < shift * least
        and max(spread, new_spread) < factor * least
    ):
        return ''
    return (
        f'calibration saw values of mean {mean:.3g} and standard deviation '
        f'{spread:.3g}, the evaluation has {new_mean:.3g} and {new_spread:.3g}: the '
        'images are of another kind, or normalized in another way'
    )


def added_db(clipping: float, width: float) -> float:
    """What clipping adds to the error of rounding to 8 bits, in dB.

    Args:
        clipping: Mean squared distance of the values from the range, which is 0 inside.
        width: Of the range, in the same unit.
    """
    if not clipping:
        return 0.0
    rounding = (width / (2**_BITS - 1)) ** 2 / 12
    return 10 * math.log10(1 + clipping / rounding) if rounding else math.inf


def moments(statistics: Statistics) -> tuple[float, float]:
    """Mean and standard deviation of the values, by their histogram."""
    centres, counts = statistics.samples()
    total = max(1.0, float(counts.sum()))
    mean = float((centres * counts).sum()) / total
    variance = float(((centres - mean).square() * counts).sum()) / total
    return mean, variance**0.5
