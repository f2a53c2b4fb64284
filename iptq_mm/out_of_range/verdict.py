"""Whether values left the ranges that calibration saw, and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from .record import OutOfRange, OutOfRangeLog

#: A site left its calibration if it clips so many times the share that calibration
#: clipped itself, ...
MANY = 10.0
#: ... and at least this share. An error of clipping matters less below: observers give
#: up to 1e-5 of the values away on purpose, and images differ.
LEAST_SHARE = 1e-3
#: Where calibration is not known (plans before 0.3, program files), this share instead:
#: a search for ranges may clip nearly as much.
UNKNOWN_SHARE = 1e-2
#: Fewer clipped values than this are no share of anything.
LEAST_COUNT = 32
#: Also if a value is so many times as far from all calibrated values as these reach.
FAR = 1.0


@dataclass(frozen=True)
class CalibratedRange:
    """What calibration saw outside of the range that it chose for a quantizer.

    Attributes:
        share: Share of its values outside, rounded up to whole histogram bins.
        below: Largest distance of a value below the range, in steps; 0: none.
        above: Largest distance of a value above the range.
    """

    share: float = 0.0
    below: int = 0
    above: int = 0

    def to_list(self) -> list[Any]:
        """Its attributes, as the plan stores them."""
        return [self.share, self.below, self.above]


#: A quantizer that clipped nothing.
_NOTHING = CalibratedRange()


class Departure(NamedTuple):
    """A quantizer whose values left its calibration.

    Attributes:
        name: Its name in the log.
        seen: What it clipped.
        calibrated: What calibration clipped; None: unknown.
        far: Whether the distance gave reason, not the share.
    """

    name: str
    seen: OutOfRange
    calibrated: CalibratedRange | None
    far: bool

    def __str__(self) -> str:
        """A clause about the site: the share, the distance and those of calibration."""
        known, before = self.calibrated, ''
        if known is not None:
            most = max(known.below, known.above)
            before = f' (in calibration {known.share:.3%}, by {most} at most)'
        return (
            f"'{self.name}' has {self.seen.share:.3%} of its values outside of its "
            f'range, by up to {max(self.seen.farthest)} steps of a range of '
            f'{self.seen.width}{before}'
        )


def departures(
    log: OutOfRangeLog, calibrated: Mapping[str, CalibratedRange] | None
) -> list[Departure]:
    """The quantizers whose values left their calibration, the largest share first.

    A quantizer is among them if it clipped :data:`LEAST_COUNT` values or more, more
    than :data:`LEAST_SHARE` of all, and more than :data:`MANY` times the share that
    calibration clipped; or if a value lies outside by more than what calibration's own
    values did plus :data:`FAR` times their whole extent.

    Args:
        log: What was clipped.
        calibrated: What calibration clipped, by the same names. None: unknown.
    """
    found = []
    for name, seen in log.sites.items():
        known = None if calibrated is None else calibrated.get(name, _NOTHING)
        share, far = _share(seen, known), _far(seen, known or _NOTHING)
        if share or far:
            found.append(Departure(name, seen, known, far and not share))
    return sorted(found, key=lambda d: (-d.seen.share, d.name))


def _share(seen: OutOfRange, known: CalibratedRange | None) -> bool:
    """Whether the share of clipped values is larger than calibration explains."""
    limit = UNKNOWN_SHARE if known is None else max(LEAST_SHARE, MANY * known.share)
    return seen.outside >= LEAST_COUNT and seen.share > limit


def _far(seen: OutOfRange, known: CalibratedRange) -> bool:
    """Whether a value lies farther outside than calibration explains."""
    extent = FAR * (seen.width + known.below + known.above)
    below, above = seen.farthest
    return below > known.below + extent or above > known.above + extent
