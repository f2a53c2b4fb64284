"""Whether more images are flagged than of those that were held out."""

from __future__ import annotations

from dataclasses import dataclass

#: Error probability of an alarm. Runs are many; a false alarm costs trust.
_LEVEL = 0.001


@dataclass(frozen=True)
class FlagAlarm:
    """The flags of some images, compared with those of the held-out ones.

    Attributes:
        flagged: Flagged images.
        images: All images.
        probability: Of at least as many flags, if the images were like the held-out
            ones.
        raised: Whether that is too improbable.
    """

    flagged: int
    images: int
    probability: float
    raised: bool


def flag_alarm(
    flagged: int, images: int, expected: int, held_out: int, level: float = _LEVEL
) -> FlagAlarm:
    """Compare two rates of flags.

    The test is exact (Fisher's): given how many of all images are flagged, held-out
    ones included, the flags of the new ones are hypergeometric. A binomial test at the
    rate of the held-out images would take this rate for certain.

    Args:
        flagged: Flagged images of a run.
        images: All images of it.
        expected: Flagged images among the held-out ones.
        held_out: How many of these there were.
        level: Probability of a false alarm.

    Example::

        >>> flag_alarm(9, 100, 20, 400).raised
        False
        >>> flag_alarm(20, 100, 20, 400).raised
        True
    """
    if not images:
        return FlagAlarm(0, 0, 1.0, False)
    from scipy.stats import hypergeom  # takes a second

    everything = images + held_out
    probability = float(
        hypergeom.sf(flagged - 1, everything, flagged + expected, images)
    )
    return FlagAlarm(flagged, images, probability, probability < level)
