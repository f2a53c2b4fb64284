"""The phase that looks at what weights get as inputs."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from ...plan import RegionPlan
from ...registry import ROUNDINGS
from ..batches import Forward, run_batches
from ..config import QuantizationConfig
from .measuring import InputsByWeight, Measuring

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
) -> RegionInputs:
    """What the weights get as inputs.

    Args:
        model: The float model.
        plans: Quantizers of all values, by region.
        forward: Runs a batch.
        batches: Calibration batches.
        guided: Whether inputs count by what errors of their outputs do.
    """
    inputs: RegionInputs = {name: {} for name in plans}
    modes = {n: Measuring(plan, inputs[n], guided) for n, plan in plans.items()}
    run_batches(model, modes, forward, batches)
    return inputs
