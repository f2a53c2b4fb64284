"""The phase observe: statistics of every value, and which site uses which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import nn

from ...operations import OPERATIONS, NonLinear
from ...pixels import pixels_of
from ...record import RegionRecord
from ..batches import Forward, run_batches
from ..config import ConfigError, QuantizationConfig
from .observe_mode import Observing


def observe(
    model: nn.Module,
    config: QuantizationConfig,
    forward: Forward,
    batches: Iterable,
    powers: Mapping[str, dict[str, list[int]]] | None = None,
) -> dict[str, RegionRecord]:
    """Records of what every site sees when the float model runs.

    :func:`check_observed` finds what may be missing in them.

    Args:
        model: The float model.
        config: What to quantize.
        forward: Runs a batch.
        batches: Calibration batches.
        powers: By region, the powers that :func:`~.equalize.equalize` left to it.
    """
    records = empty_records(model, config, powers)
    run_batches(model, {n: Observing(r) for n, r in records.items()}, forward, batches)
    return records


def empty_records(
    model: nn.Module,
    config: QuantizationConfig,
    powers: Mapping[str, dict[str, list[int]]] | None = None,
) -> dict[str, RegionRecord]:
    """Records of regions in which nothing was seen; arguments as of :func:`observe`."""
    powers = powers or {}
    return {
        n: RegionRecord(
            channel_shifts=dict(powers.get(n, {})),
            pixels=pixels_of(model.get_submodule(n)),
            region=n,
            modules={
                path: type(module).__name__
                for path, module in model.get_submodule(n).named_modules()
            },
        )
        for n in config.regions
    }


def check_observed(records: Mapping[str, RegionRecord]) -> None:
    """Make sure that there is something to quantize.

    Args:
        records: By region, those of all processes: one may have seen no call of a head.

    Raises:
        ConfigError: If no image came, a region never ran, or there is no
            transformer and no network of several layers in the regions.
    """
    for name, record in records.items():
        if not any(seen.count for seen in record.values.values()):
            raise ConfigError(
                f"region '{name}' never ran on the calibration images: is the "
                'calibration set empty, or the region unused by this model? Heads of '
                'a second stage run where something is detected only: use a trained '
                'checkpoint, more images (quantization.calibration.num_images), or a '
                'lower score_thr in model.test_cfg.rcnn'
            )
    if not any(has_choices(r) or _layers(r) > 1 for r in records.values()):
        raise ConfigError(
            f'no transformer in the regions {[*records]}, nor a network of several '
            'layers: they hold neither Softmax nor GELU nor LayerNorm'
        )


def _layers(record: RegionRecord) -> int:
    """Linear layers and convolutions of a region."""
    return sum(kind in ('linear', 'conv2d') for kind in record.operations.values())


def has_choices(record: RegionRecord) -> bool:
    """Whether a region has sites for which functions are chosen."""
    kinds = set(record.operations.values())
    return any(isinstance(OPERATIONS[kind], NonLinear) for kind in kinds)
