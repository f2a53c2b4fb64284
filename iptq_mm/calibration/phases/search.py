"""The phase search: ranges of narrow values by the error at the region's outputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ...modes.region import PIXELS
from ...record import RegionRecord
from ..batches import Forward, run_batches
from ..config import QuantizationConfig
from ..planner import Planner
from .search_mode import Searching

#: Where values are clipped, as shares of the largest magnitude that was seen.
SHARES = (1.1, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
#: Random directions at the outputs of each image. Rare large values decide, so that
#: more images are worth more than more directions.
DRAWS = 1

#: By region and value, the effect of each share.
Effects = dict[str, dict[str, Tensor]]


def search_ranges(
    model: nn.Module,
    config: QuantizationConfig,
    records: dict[str, RegionRecord],
    forward: Forward,
    batches: Iterable,
) -> list[Effects]:
    """The effect on the outputs of clipping each value at each of ``SHARES``.

    Args:
        model: The float model.
        config: What to quantize.
        records: From the phase that observes.
        forward: Runs a batch.
        batches: Calibration batches.

    Returns:
        Effects by batch: sums of floats depend on their order.
    """
    modes = {}
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
        )
    found: list[Effects] = []

    def each() -> Iterator[Any]:
        for batch in batches:
            yield batch
            found.append({name: mode.effects for name, mode in modes.items()})
            for mode in modes.values():
                mode.effects = {}

    run_batches(model, modes, forward, each())
    return found


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


def choose_ranges(record: RegionRecord, effects: Iterable[dict[str, Tensor]]) -> None:
    """Note in the record where each value is clipped.

    Args:
        record: Of a region.
        effects: Of the region, by batch, in the order of the batches.
    """
    sums: dict[str, Tensor] = {}
    for batch in effects:
        for value, effect in batch.items():
            sums[value] = sums.get(value, torch.zeros_like(effect)) + effect
    record.clipping = {v: SHARES[int(e.argmin())] for v, e in sums.items() if e.any()}
