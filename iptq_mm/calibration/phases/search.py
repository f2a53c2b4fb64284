"""The phase search: ranges of narrow values by the error at the region's outputs."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from ...modes.region import PIXELS
from ...record import RegionRecord
from ...utils.exact_sum import Sums
from ..backward import Saved
from ..batches import Forward, run_batches
from ..config import QuantizationConfig
from ..planner import Planner
from .search_mode import Searching

#: Where values are clipped, as shares of the largest magnitude that was seen.
SHARES = (1.1, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
#: Random directions at the outputs of each image. Rare large values decide, so that
#: more images are worth more than more directions.
DRAWS = 1


def search_ranges(
    model: nn.Module,
    config: QuantizationConfig,
    records: dict[str, RegionRecord],
    forward: Forward,
    batches: Iterable,
) -> dict[str, Sums]:
    """The effect on the outputs of clipping each value at each of ``SHARES``.

    Args:
        model: The float model.
        config: What to quantize.
        records: From the phase that observes.
        forward: Runs a batch.
        batches: Calibration batches.

    Returns:
        By region and value, the sum over images for each share.
    """
    modes, saved = {}, Saved(config.calibration.gradient_memory_mb)
    for name, record in records.items():
        planner = Planner(record, config)
        modes[name] = Searching(
            {
                value: [planner.clipped(value, share) for share in SHARES]
                for value in narrow_values(record)
                if not planner.has_codes(value, planner.narrow_bits(value))
            },
            DRAWS,
            record.channel_shifts,
            saved,
        )
    run_batches(model, modes, forward, batches)
    return {name: mode.effects for name, mode in modes.items()}


def narrow_values(record: RegionRecord) -> list[str]:
    """Names of the values that some site may want at the bits of activations."""
    kinds = {'linear', 'conv2d', 'matmul', 'gelu', 'unary'}
    return [
        value
        for value, uses in record.consumers().items()
        if any(record.operations[site] in kinds for site, _ in uses)
        and record.operations.get(value) != 'softmax'  # these have bits of their own
        and record.values[value].minimum < record.values[value].maximum
        and not (value == PIXELS and record.pixels)
    ]


def choose_ranges(record: RegionRecord, effects: Sums) -> None:
    """Note in the record where each value is clipped.

    Args:
        record: Of a region.
        effects: Of the region, from :func:`search_ranges`, of all processes.
    """
    sums = {value: [*map(float, effect)] for value, effect in effects.items()}
    record.clipping = {v: SHARES[e.index(min(e))] for v, e in sums.items() if any(e)}
