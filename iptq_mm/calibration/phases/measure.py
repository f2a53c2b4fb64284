"""The phase measure: moments of the inputs that weights will get."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from ...plan import RegionPlan
from ...registry import ROUNDINGS
from ..backward import Saved
from ..batches import Forward, run_batches
from ..config import QuantizationConfig
from .measure_mode import InputsByWeight, Measuring

#: By region.
RegionInputs = dict[str, InputsByWeight]


def wants_inputs(config: QuantizationConfig) -> bool:
    """Whether the config asks for anything that goes by the inputs of weights."""
    rounding = ROUNDINGS.get(config.weight.rounding['type'])
    return rounding.needs_inputs or config.weight.bias_correction


def measure(
    model: nn.Module,
    plans: dict[str, RegionPlan],
    forward: Forward,
    batches: Iterable,
    guided: bool = False,
    saved: Saved | None = None,
    images: int = 1,
) -> RegionInputs:
    """Moments of the inputs of every weight, by region.

    Args:
        model: The float model.
        plans: Quantizers of all values, by region.
        forward: Runs a batch.
        batches: Calibration batches.
        guided: Whether inputs count by the effect of an error at their output on the
            outputs of the region.
        saved: Keeps what that takes.
        images: How many calibrate. The more there are, the fewer rows of each are
            looked at (:func:`~iptq_mm.calibration.sampling.moment_rows`).
    """
    inputs: RegionInputs = {name: {} for name in plans}
    modes = {
        name: Measuring(plan, inputs[name], guided, saved, images)
        for name, plan in plans.items()
    }
    run_batches(model, modes, forward, batches)
    return inputs
