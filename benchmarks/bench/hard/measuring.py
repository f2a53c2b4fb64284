"""Quantizes a model and compares it with its float self."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from iptq_mm.calibration import (
    QuantizationConfig,
    calls_of,
    channel_maps,
    channel_ranges,
    choose_ranges,
    equalize,
    expanded,
    guard,
    observe,
    search_ranges,
)
from iptq_mm.calibration.phases.guard.guard import Guarded
from iptq_mm.engine.evaluate.output_comparison import OutputComparison
from iptq_mm.engine.quantize.model import quantize_model
from iptq_mm.modes import regions_in
from iptq_mm.program import use_backend
from iptq_mm.utils.decibels import decibels


class Figures(NamedTuple):
    """What a quantized model does.

    Attributes:
        agreement: Share of images with the class of the float model; None: the model
            has no classes.
        decibels: SQNR at the outputs of the last region.
        seconds: CPU time of the quantization.
    """

    agreement: float | None
    decibels: float
    seconds: float


def equal_in_floats(
    model: nn.Module, other: nn.Module, images: Iterable[Tensor]
) -> float:
    """SQNR in dB of the float outputs of ``other`` with respect to ``model``."""
    signal = error = 0.0
    with torch.no_grad():
        for batch in images:
            real = model.head(model.backbone(batch)).double()
            made = other.head(other.backbone(batch)).double()
            signal += float(real.square().sum())
            error += float((made - real).square().sum())
    return decibels(signal, error)


def measured(
    model: nn.Module,
    config: QuantizationConfig,
    calibration: Iterable[Any],
    judging: Sequence[Any],
    backend: str | None,
) -> Figures:
    """Quantize a copy of a model and compare it on other images.

    Args:
        model: The float model.
        config: What to quantize.
        calibration: Calibration batches.
        judging: Batches to compare on.
        backend: What runs the integers.
    """
    integer, began = copy.deepcopy(model), time.process_time()
    with torch.no_grad():
        quantize_model(integer, config, calibration)
    seconds = time.process_time() - began
    agreement, db = compared(model, integer, judging, backend)
    return Figures(agreement, db, seconds)


def compared(
    model: nn.Module, integer: nn.Module, judging: Sequence[Any], backend: str | None
) -> tuple[float | None, float]:
    """Agreement with the float model, and dB at the outputs of the last region.

    Args:
        model: The float model.
        integer: The quantized one; its back end is set.
        judging: Batches to compare on.
        backend: What runs the integers.
    """
    use_backend(integer, backend)
    floats = copy.deepcopy(model)
    comparison = OutputComparison(floats, regions_in(integer))
    with torch.no_grad():
        for batch in judging:
            expected = floats.test_step(copy.deepcopy(batch))
            comparison.compare(expected, integer.test_step(copy.deepcopy(batch)))
    found = comparison.summary()
    return found.get('agreement'), [*found['output_sqnr_db'].values()][-1]


def judged_ranges(
    model: nn.Module,
    config: QuantizationConfig,
    calibration: Sequence[Any],
    held_out: Sequence[Any],
) -> dict[str, Guarded]:
    """What the guard finds of a model, without the rest of a quantization.

    Args:
        model: The float model.
        config: What to quantize.
        calibration: Batches to choose ranges on.
        held_out: Batches to judge them on.
    """
    model = copy.deepcopy(model)
    config = replace(config, regions=expanded(model, config.regions), pixels=False)
    forward: Any = model.test_step
    powers = None
    if config.equalization:
        maps = channel_maps(model, config, forward, calibration)
        ranges = channel_ranges(model, maps, forward, calibration)
        powers = equalize(model, config, maps, ranges, forward, calibration).powers
    records = observe(model, config, forward, calibration, powers)
    if config.activation.search_images:
        found = search_ranges(model, config, records, forward, calibration)
        for name, record in records.items():
            choose_ranges(record, found[name])
    first = -(-len(held_out) // 2)
    held = calls_of(model, records, forward, held_out, first)
    return guard(model, config, records, held)
