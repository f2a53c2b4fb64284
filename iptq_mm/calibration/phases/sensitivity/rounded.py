"""What rounding does to the weights of a region, in each form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from ....kept_float import quantized_parameters
from ....operations import TRANSPOSED, WEIGHTS
from ....patches import transposed_rows
from ....plan import ParameterPlan, RegionPlan
from ....record import RegionRecord
from ...config import QuantizationConfig
from ..bias_correction import correctable_biases, weight_loss
from ..freeze import quantize_parameters
from ..measure_mode import InputsByWeight, seen_by
from ..plan_parameters import plan_parameters
from .forms import WeightForm


class RoundedWeight(NamedTuple):
    """A weight of few bits beside the real one.

    Attributes:
        error: What rounding added, the shape in which the site gets the weight.
        bias: What the layer's bias gets to make up for its mean, for each row of the
            weight; None: no bias does.
    """

    error: Tensor
    bias: Tensor | None = None


#: By name of the weight and its form.
RoundedWeights = dict[tuple[str, WeightForm], RoundedWeight]


@torch.no_grad()
def rounded_weights(
    module: nn.Module,
    plan: RegionPlan,
    record: RegionRecord,
    config: QuantizationConfig,
    inputs: InputsByWeight | None,
    forms: Sequence[WeightForm],
) -> RoundedWeights:
    """Every weight of a region in every form, rounded as the phase freeze does it.

    Args:
        module: The region's float module.
        plan: Its plan.
        record: Which parameters meet at a site.
        config: Observer, rounding and bias correction of weights.
        inputs: Moments of the inputs of weights; None: they were not measured.
        forms: Those to try.
    """
    real = {n: p.detach() for n, p in quantized_parameters(module)}
    biases = correctable_biases(record, real) if config.weight.bias_correction else {}
    found: RoundedWeights = {}
    for form in forms:
        weight = replace(config.weight, bits=form.bits, group=form.group)
        settings = replace(config, weight=weight, overrides=[])
        parameters = plan_parameters(module, record, settings)
        planned = replace(plan, parameters=dict(parameters))
        integers = quantize_parameters(module, planned, record, settings, inputs)
        for name, parameter in planned.parameters.items():
            if parameter.role not in WEIGHTS:
                continue
            error = _error(integers[name], parameter, real[name])
            seen = seen_by(name, inputs or {}) if name in biases else None
            bias = None
            if seen is not None:
                outputs = len(real[biases[name]])
                bias = weight_loss(error, seen, outputs).to(error.device, error.dtype)
                # Places of a transposed convolution's kernel share one.
                bias = bias.repeat_interleave(len(error) // outputs)
            found[name, form] = RoundedWeight(error, bias)
        group = f', groups of {form.group}' if form.group else ''
        print_log(
            f'sensitivity: {plan.module}: weights of {form.bits} bits{group}', 'current'
        )
    return found


def _error(integers: Tensor, plan: ParameterPlan, real: Tensor) -> Tensor:
    """What rounding added to a weight, in the shape in which its site gets it."""
    codes = integers.to(real.device)
    if plan.role == TRANSPOSED:
        codes, real = (transposed_rows(x)[..., None, None] for x in (codes, real))
    scale = plan.scales().to(real.device).view(-1, *[1] * (real.dim() - 1))
    return (codes * scale - real).to(real.dtype)
