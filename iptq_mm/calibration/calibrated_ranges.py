"""What calibration itself saw outside of the ranges that it chose."""

from __future__ import annotations

from ..intmath import QParams
from ..modes.region import PIXELS
from ..out_of_range import CalibratedRange
from ..plan import RegionPlan
from ..record import RegionRecord
from ..statistics import Statistics


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
    found = {
        name: calibrated_range(record.values[source], qparams)
        for name, (source, qparams) in quantizers.items()
        if source in record.values and record.values[source].count
    }
    return {name: seen for name, seen in found.items() if seen != CalibratedRange()}


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
