"""Ranges of the inputs of non-linear functions, by the error of the chosen functions.

The published constants of a function may be floors of ``1/S`` or ``1/S**2``, with the
scale ``S`` of its input. With the scale that covers the whole input they degenerate:
what a finer scale gains may be worth more than the values that it clips.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import nn

from ....plan import RegionPlan
from ....record import RegionRecord
from ....utils.exact_sum import Sums
from ...backward import Saved
from ...batches import Forward, run_batches
from ...config import QuantizationConfig
from ...planner import Planner
from ...region_order import inputs_from_producers
from .function_ranges_mode import TryingRanges

#: Magnitudes at which inputs are clipped, as shares of the largest one: down to 1/64 in
#: steps of 9 %, since a floor of a small ``1/S`` jumps.
SHARES = tuple(2.0 ** (-step / 8) for step in range(-4, 49))
#: A new range has to lower the squared error by so much: it costs other sites nothing
#: to leave a range as it is.
LEAST_GAIN = 0.05
#: As for the range search.
DRAWS = 1


def try_ranges(
    model: nn.Module,
    config: QuantizationConfig,
    records: Mapping[str, RegionRecord],
    plans: Mapping[str, RegionPlan],
    forward: Forward,
    batches: Iterable,
) -> dict[str, Sums]:
    """The error of every function with its planned input range and with others.

    The functions see float inputs, as in the analysis, so that no site depends on the
    range of another.

    Args:
        model: The float model.
        config: ``calibration.function_ranges`` says where errors count.
        records: By region.
        plans: By region, with the chosen functions.
        forward: Runs a batch.
        batches: Calibration batches.

    Returns:
        By region and site, the sum over images for the planned range and each of
        :data:`SHARES`.
    """
    draws = DRAWS if config.calibration.function_ranges == 'output' else 0
    modes, saved = {}, Saved(config.calibration.gradient_memory_mb)
    for name, plan in plans.items():
        record = records[name]
        planner = Planner(record, config, inputs_from_producers(record, plans))
        modes[name] = TryingRanges(plan, record, planner, SHARES, draws, saved)
    run_batches(model, modes, forward, batches)
    return {name: mode.errors for name, mode in modes.items()}


def choose_limits(record: RegionRecord, errors: Sums) -> None:
    """Note in the record where functions clip their inputs.

    Args:
        record: Of a region.
        errors: Of the region, from :func:`try_ranges`, of all processes.
    """
    for site, sums in errors.items():
        planned, *others = map(float, sums)
        best = others.index(min(others))
        if others[best] < (1 - LEAST_GAIN) * planned:
            seen = record.values[str(record.sources[site][0])]
            largest = max(-seen.minimum, seen.maximum)
            record.function_limits[site] = SHARES[best] * largest
