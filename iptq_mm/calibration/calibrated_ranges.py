"""What calibration itself saw outside of the ranges that it chose."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from mmengine.logging import print_log

from ..intmath import QParams
from ..modes.region import PIXELS
from ..out_of_range import CalibratedRange
from ..plan import RegionPlan
from ..record import RegionRecord
from ..statistics import Statistics

#: Least share of its values by which a quantizer clips noticeably.
NOTICEABLE = 1e-3


def calibrated_ranges(
    record: RegionRecord, plan: RegionPlan
) -> dict[str, CalibratedRange]:
    """What each quantizer of a plan would have clipped in calibration.

    Args:
        record: What calibration saw, in floats.
        plan: The plan that was made of it.

    Returns:
        By the names of an :class:`~iptq_mm.out_of_range.OutOfRangeLog`; quantizers that
        clip nothing are left out.
    """
    found = {
        name: calibrated_range(seen, qparams)
        for name, seen, qparams in _quantizers(record, plan)
    }
    return {name: seen for name, seen in found.items() if seen != CalibratedRange()}


def _quantizers(
    record: RegionRecord, plan: RegionPlan
) -> Iterator[tuple[str, Statistics, QParams]]:
    """The quantizers of a plan: name, what the record saw of their values."""
    quantizers = {
        name: (name, qparams)
        for name, qparams in plan.inputs.items()
        if not (name == PIXELS and plan.pixels)
    }
    for site, made in plan.sites.items():
        quantizers[site] = site, made.output
        for position, wanted in made.inputs.items():
            source = record.sources[site][position] or ''
            quantizers[f'{site}<-{source}'] = source, wanted
    for name, (source, qparams) in quantizers.items():
        if source in record.values and record.values[source].count:
            yield name, record.values[source], qparams


def noticeable_clipping(record: RegionRecord, plan: RegionPlan) -> dict[str, float]:
    """The quantizers to which clipping costs more than rounding, in calibration.

    A range may leave out values on purpose; one of averages does it by the way. Either
    is noticed where the error of what it clips exceeds that of all that it rounds.

    Args:
        record: What calibration saw, in floats.
        plan: The plan that was made of it.

    Returns:
        By name, the largest first: the squared error of clipping over that of rounding.
        Left out: what clips a share below :data:`NOTICEABLE`, and quantizers with
        levels of their own.
    """
    found = {}
    for name, seen, qparams in _quantizers(record, plan):
        if qparams.levels is None:
            values, counts = seen.samples()
            steps = values / qparams.scale
            beyond = steps - steps.clamp(qparams.qmin - 0.5, qparams.qmax + 0.5)
            error = 12 * float((counts * beyond.square()).sum() / counts.sum())
            if error > 1 and calibrated_range(seen, qparams).share >= NOTICEABLE:
                found[name] = error
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def warn_of_clipping(region: str, record: RegionRecord, plan: RegionPlan) -> None:
    """Log a warning where ranges clip calibration data noticeably.

    Args:
        region: Name of the region.
        record: What calibration saw, in floats.
        plan: The plan that was made of it.
    """
    found = noticeable_clipping(record, plan)
    if found:
        worst, error = next(iter(found.items()))
        clipped = calibrated_ranges(record, plan)[worst].share
        print_log(
            f"region '{region}': {len(found)} quantizers lose more by clipping the "
            f"calibration data than by rounding it; the worst, '{worst}', clips "
            f'{clipped:.2%} of it at {error:.1f} times the squared error of rounding. '
            "dict(type='minmax') as quantization.activation.observer covers all of it, "
            "dict(type='mse') weighs both errors",
            'current',
            logging.WARNING,
        )


def calibrated_range(seen: Statistics, qparams: QParams) -> CalibratedRange:
    """What a quantizer clips of the values of a record.

    Args:
        seen: Statistics of one value or more.
        qparams: The quantizer.
    """
    ends = qparams.qmin - 0.5, qparams.qmax + 0.5
    low, high = (end * qparams.scale for end in ends)
    lower, upper, counts = seen.bins()
    outside = float(counts[(lower < low) | (upper > high)].sum())
    below = qparams.qmin - round(seen.minimum / qparams.scale)
    above = round(seen.maximum / qparams.scale) - qparams.qmax
    return CalibratedRange(
        round(outside / float(counts.sum()), 9), max(0, below), max(0, above)
    )
