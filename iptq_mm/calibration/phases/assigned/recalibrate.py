"""The phase recalibrate: ranges of the model that runs the chosen functions.

This is the third stage of IPTQ-ViT (arXiv 2511.15369): the functions are in place when
the scales are determined. Ranges of the float model do not know what an approximation
or a rounding does to the values behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import nn

from ....plan import RegionPlan
from ....record import RegionRecord
from ....statistics import Statistics
from ...batches import Forward, run_batches
from ...region_order import producers_first
from .recalibrate_mode import Recalibrating

#: Most passes in the order of execution. Each goes through all batches, and a site's
#: range hardly depends on those of the sites right before it.
MOST_PASSES = 8

#: By region, sites and inputs whose ranges are taken in one pass.
Values = Mapping[str, frozenset[str]]


def passes(records: Mapping[str, RegionRecord], order: str) -> list[Values]:
    """Which values are observed in each pass.

    Args:
        records: By region.
        order: ``'all'``: all values in one pass; ``'order'``: in the order of
            execution, in at most :data:`MOST_PASSES`.
    """
    found = [
        (region, value)
        for region, record in producers_first(records)
        for value in [*(record.values.keys() - record.operations), *record.operations]
    ]
    length = -(-len(found) // (1 if order == 'all' else MOST_PASSES))
    parts = [found[i : i + length] for i in range(0, len(found), length)]
    return [
        {name: frozenset(v for region, v in part if region == name) for name in records}
        for part in parts
    ]


def recalibrate(
    model: nn.Module,
    records: Mapping[str, RegionRecord],
    plans: Mapping[str, RegionPlan],
    forward: Forward,
    batches: Iterable,
    values: Values | None = None,
) -> dict[str, RegionRecord]:
    """What the assigned model does on calibration batches.

    Args:
        model: The float model.
        records: By region, what functions are fitted to.
        plans: By region: scales, and the chosen functions.
        forward: Runs a batch.
        batches: Calibration batches.
        values: Values to observe; None: none.

    Returns:
        By region, statistics of these values and constants of the functions.

    Raises:
        ValueError: If a function cannot serve the ranges of a plan.
        OverflowError: As ``ValueError``.
    """
    modes = {
        name: Recalibrating(plan, records[name], (values or {}).get(name, frozenset()))
        for name, plan in plans.items()
    }
    run_batches(model, modes, forward, batches)
    return {name: mode.found for name, mode in modes.items()}


def take_over(
    records: Mapping[str, RegionRecord], found: Mapping[str, RegionRecord]
) -> None:
    """Replace statistics and constants in the records by what was found.

    Values that never came keep what the float model showed of them: heads of a second
    stage run only where something is detected.

    Args:
        records: By region.
        found: By region, from :func:`recalibrate`, of all processes.
    """
    for name, record in records.items():
        seen = {v: s for v, s in found[name].values.items() if s.count}
        for value, new in seen.items():
            # A range that was searched is a real limit, and stays where it was.
            if value in record.clipping and _reach(new) > 0:
                limit = record.clipping[value] * _reach(record.values[value])
                record.clipping[value] = min(1.0, limit / _reach(new))
        record.values.update(seen)
        record.constants.update(found[name].constants)


def _reach(seen: Statistics) -> float:
    """The largest magnitude."""
    return max(-seen.minimum, seen.maximum)
