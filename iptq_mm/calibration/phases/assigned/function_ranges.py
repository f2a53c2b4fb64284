"""Ranges of the inputs of non-linear functions, by the error of the chosen functions.

The published constants of a function may be floors of ``1/S`` or ``1/S**2``, with the
scale ``S`` of its input. With the scale that covers the whole input they degenerate:
what a finer scale gains may be worth more than the values that it clips.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from ....plan import RegionPlan
from ....record import RegionRecord
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
) -> list[dict[str, dict[str, Tensor]]]:
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
        Errors by batch, region and site, for the planned range and each of
        :data:`SHARES`: sums of floats depend on their order.
    """
    draws = DRAWS if config.calibration.function_ranges == 'output' else 0
    modes = {}
    for name, plan in plans.items():
        record = records[name]
        planner = Planner(record, config, inputs_from_producers(record, plans))
        modes[name] = TryingRanges(plan, record, planner, SHARES, draws)
    found: list[dict[str, dict[str, Tensor]]] = []

    def each() -> Iterator[Any]:
        for batch in batches:
            yield batch
            found.append({name: mode.errors for name, mode in modes.items()})
            for mode in modes.values():
                mode.errors = {}

    run_batches(model, modes, forward, each())
    return found


def choose_limits(record: RegionRecord, errors: Iterable[dict[str, Tensor]]) -> None:
    """Note in the record where functions clip their inputs.

    Args:
        record: Of a region.
        errors: Of the region, by batch, in the order of the batches.
    """
    sums: dict[str, Tensor] = {}
    for batch in errors:
        for site, error in batch.items():
            sums[site] = sums[site] + error if site in sums else error
    for site, total in sums.items():
        planned, best = float(total[0]), int(total[1:].argmin())
        if float(total[1 + best]) < (1 - LEAST_GAIN) * planned:
            seen = record.values[str(record.sources[site][0])]
            largest = max(-seen.minimum, seen.maximum)
            record.function_limits[site] = SHARES[best] * largest
