"""The phase that turns parameters into integers, and corrects biases for it."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...intmath import storage_dtype
from ...modes.install import install
from ...moments import Moments
from ...operations import TRANSPOSED, WEIGHTS
from ...patches import from_transposed_rows, transposed_rows
from ...plan import ParameterPlan, RegionPlan
from ...record import RegionRecord
from ...registry import ROUNDINGS
from ...rounding import NearestRounding, Rounding
from ..config import QuantizationConfig
from ..planner import one_scale
from ..rewrites.marks import marked_layer, with_exact_marks
from .measure import RegionInputs
from .measuring import Inputs, InputsByWeight


def quantize_parameters(
    module: nn.Module,
    plan: RegionPlan,
    record: RegionRecord,
    config: QuantizationConfig,
    inputs: InputsByWeight | None = None,
) -> dict[str, Tensor]:
    """Round the parameters of a region.

    Bias correction (Nagel et al., arXiv 1906.04721, section 4.2) adds to a bias
    what quantization takes from the mean of the outputs,
    ``W E[x] - W_q E[x_q]``, rounding of weights and of inputs alike.

    Args:
        module: The region's float module.
        plan: Its plan, parameters included; a rounding may change scales.
        record: Which parameters meet at a site.
        config: Rounding and bias correction.
        inputs: What the weights get, if the config wants it.

    Returns:
        Integers by parameter, of the narrowest type.
    """
    rounding: Rounding = ROUNDINGS.build(dict(config.weight.rounding))
    values = {n: p.detach() for n, p in module.named_parameters()}
    biases = _biases(record, values) if config.weight.bias_correction else {}
    integers, marked = {}, marked_layer(record, plan.pixels)
    for name, parameter in list(plan.parameters.items()):
        if parameter.role not in WEIGHTS:
            continue
        seen, weight = _inputs_of(name, inputs or {}), values[name]
        if parameter.role == TRANSPOSED:
            weight = transposed_rows(weight)
        bias = biases.get(name) if seen else None
        if seen is None and rounding.needs_inputs:  # grouped, or too many inputs
            codes, scale = NearestRounding()(weight, parameter.scales(), parameter.bits)
        else:
            codes, scale = rounding(
                weight,
                parameter.scales(),
                parameter.bits,
                seen.moments if seen else None,
                centred=bias is not None,
            )
        lost = None
        if name == marked[0] and plan.pixels is not None:
            marks = scale, weight, parameter.bound, plan.pixels
            codes, _ = with_exact_marks(codes, *marks)
        integers[name] = codes
        if parameter.role == TRANSPOSED:
            integers[name] = from_transposed_rows(codes, parameter.shape)
        plan.parameters[name] = replace(parameter, scale=scale.tolist())
        if seen and bias is not None:
            real = codes.flatten(1).double().cpu() * scale.cpu()[:, None]
            lost = weight.flatten(1).double().cpu() @ seen.mean
            lost -= real @ seen.moments.mean
            # Places of a transposed convolution's kernel share a bias.
            lost = lost.view(len(values[bias]), -1).mean(1)
            values[bias] = values[bias].double() + lost.to(weight.device)
            plan.parameters[bias] = one_scale(values[bias], plan.parameters[bias].role)
        if name == marked[0]:
            integers[name], rest = with_exact_marks(codes, *marks, lost)
            bias = marked[1]
            values[bias] = values[bias].double() + rest.to(weight.device)
            plan.parameters[bias] = one_scale(values[bias], plan.parameters[bias].role)
    for name, parameter in plan.parameters.items():
        if parameter.role not in WEIGHTS:
            integers[name] = nearest(values[name], parameter)
    return integers


def freeze_regions(
    model: nn.Module,
    config: QuantizationConfig,
    plans: dict[str, RegionPlan],
    records: dict[str, RegionRecord] | None = None,
    inputs: RegionInputs | None = None,
) -> None:
    """Turn the regions of a float model into integer ones, in place.

    Args:
        model: The float model.
        config: Rounding and bias correction.
        plans: By region.
        records: By region; without them no bias is corrected.
        inputs: From :func:`measure`, if the config wants it.
    """
    for name, plan in plans.items():
        module = model.get_submodule(name)
        plan.check(name, module)
        record = (records or {}).get(name, RegionRecord())
        seen = (inputs or {}).get(name)
        integers = quantize_parameters(module, plan, record, config, seen)
        install(name, module, plan, integers)


def nearest(value: Tensor, plan: ParameterPlan) -> Tensor:
    """The integers of a parameter with one scale, of the narrowest type."""
    scale = plan.scales().to(value.device)
    q = (value.double() / scale).round().clamp(-plan.bound, plan.bound)
    return q.to(storage_dtype(-plan.bound, plan.bound))


class _Seen(NamedTuple):
    """Inputs of a weight over all its sites: moments, and the mean of the real ones."""

    moments: Moments
    mean: Tensor


def _inputs_of(weight: str, inputs: InputsByWeight) -> _Seen | None:
    """What all sites of a weight saw, at whatever scales."""
    parts = [i for (name, _), i in inputs.items() if name == weight and i.moments.count]
    if not parts:
        return None
    moments = parts[0].moments
    if len(parts) > 1:
        sums = [(m.scale * m.sum, m.scale**2 * m.second) for m in map(_moments, parts)]
        moments = Moments.from_state_dict(
            {
                'scale': 1.0,
                'count': sum(m.count for m in map(_moments, parts)),
                'sum': torch.stack([s for s, _ in sums]).sum(0),
                'second': torch.stack([s for _, s in sums]).sum(0),
            }
        )
    mean = torch.stack([i.real_mean * i.moments.count for i in parts]).sum(0)
    return _Seen(moments, mean / moments.count)


def _outputs(weight: Tensor, record: RegionRecord, name: str) -> int:
    """Output channels of a weight."""
    transposed = TRANSPOSED in record.parameters.get(name, ())
    return weight.shape[1 if transposed else 0]


def _moments(inputs: Inputs) -> Moments:
    return inputs.moments


def _biases(record: RegionRecord, values: dict[str, Tensor]) -> dict[str, str]:
    """The bias that belongs to each weight and to no other.

    A bias that the model puts together from parameters has the name of the first
    of them, and as a rule not its shape.
    """
    partners: dict[str, set[str]] = {}
    for site, kind in record.operations.items():
        if kind in ('linear', 'conv2d'):
            _, weight, bias = (*record.sources[site], None)[:3]
            names = [str(n).removeprefix('parameter:') for n in (weight, bias)]
            if all(n in values for n in names):
                partners.setdefault(names[0], set()).add(names[1])
    every = [bias for found in partners.values() for bias in found]
    return {
        weight: bias
        for weight, found in partners.items()
        for bias in found
        if len(found) == 1
        and every.count(bias) == 1
        and values[bias].shape == (_outputs(values[weight], record, weight),)
    }
