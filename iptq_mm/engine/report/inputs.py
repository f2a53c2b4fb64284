"""Whether calibration saw images like those of the evaluation."""

from __future__ import annotations

from ...statistics import Statistics

#: Images of one kind differ less: means by so many standard deviations, and standard
#: deviations by such a factor.
SHIFT, SPREAD = 0.5, 1.5
#: Few images differ from others by chance, too.
FEW_SHIFT, FEW_SPREAD = 2.0, 3.0
#: Fewer calibration images than these rarely show the ranges of all others.
FEW = 8
#: They were too few if at half of the layers so large a share of the evaluated values
#: lies outside of what they showed. Of tiny ViTs, one image left 0.09 to 0.26 % there,
#: two 0.01 to 0.05 %, six 0.02 % at most.
UNSEEN = 5e-4


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


def moments(statistics: Statistics) -> tuple[float, float]:
    """Mean and standard deviation of the values, by their histogram."""
    centres, counts = statistics.samples()
    total = max(1.0, float(counts.sum()))
    mean = float((centres * counts).sum()) / total
    variance = float(((centres - mean).square() * counts).sum()) / total
    return mean, variance**0.5
