"""What rounding does to the weights of a region, at each width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from ....kept_float import quantized_parameters
from ....operations import TRANSPOSED, WEIGHTS
from ....plan import ParameterPlan, RegionPlan
from ....record import RegionRecord
from ...config import QuantizationConfig
from ..bias_correction import correctable_biases
from ..freeze import quantize_parameters
from ..measure_mode import InputsByWeight, SeenInputs, seen_by
from ..plan_parameters import plan_parameters


class RoundedWeight(NamedTuple):
    """A weight of few bits beside the real one.

    Attributes:
        error: What rounding added, the shape of the weight.
        bias: What the layer's bias gets to make up for its mean, shape (outputs,);
            None: no bias does.
    """

    error: Tensor
    bias: Tensor | None = None


#: By name of the weight and its bits.
RoundedWeights = dict[tuple[str, int], RoundedWeight]


@torch.no_grad()
def rounded_weights(
    module: nn.Module,
    plan: RegionPlan,
    record: RegionRecord,
    config: QuantizationConfig,
    inputs: InputsByWeight | None,
    widths: Sequence[int],
) -> RoundedWeights:
    """Every weight of a region at every width, rounded as the phase freeze does it.

    Args:
        module: The region's float module.
        plan: Its plan.
        record: Which parameters meet at a site.
        config: Observer, groups, rounding and bias correction of weights.
        inputs: Moments of the inputs of weights; None: they were not measured.
        widths: Bits to try.
    """
    real = {n: p.detach() for n, p in quantized_parameters(module)}
    found: RoundedWeights = {}
    for bits in widths:
        group = config.weight.group if bits < 8 else 0
        weight = replace(config.weight, bits=bits, group=group)
        settings = replace(config, weight=weight, overrides=[])
        parameters = plan_parameters(module, record, settings)
        planned = replace(plan, parameters=dict(parameters))
        integers = quantize_parameters(module, planned, record, settings, inputs)
        corrected = correctable_biases(record, real) if weight.bias_correction else {}
        for name, parameter in planned.parameters.items():
            if parameter.role in WEIGHTS and parameter.role != TRANSPOSED:
                seen = seen_by(name, inputs or {}) if name in corrected else None
                error = _error(integers[name], parameter, real[name])
                bias = None if seen is None else _made_up_for(error, seen)
                found[name, bits] = RoundedWeight(error, bias)
        print_log(f'sensitivity: {plan.module}: weights of {bits} bits', 'current')
    return found


def _error(integers: Tensor, plan: ParameterPlan, real: Tensor) -> Tensor:
    scale = plan.scales().to(real.device).view(-1, *[1] * (real.dim() - 1))
    return (integers.to(real.device) * scale - real).to(real.dtype)


def _made_up_for(error: Tensor, seen: SeenInputs) -> Tensor:
    """What a bias gets where the weight has this error."""
    mean = seen.moments.mean.to(error.device, error.dtype)
    return -(error.flatten(1) @ mean)
