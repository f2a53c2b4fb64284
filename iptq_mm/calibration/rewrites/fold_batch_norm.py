"""Batch norm that follows a layer becomes part of that layer, exactly.

With running statistics it is ``g x + c`` by channel, ``g = gamma / sqrt(var + eps)``
and ``c = beta - g mean``: the layer before it gets the weight ``g w`` and the bias
``g b + c`` (Jacob et al., arXiv 1712.05877, section 3.2).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ...norms import replace_module, without_norms
from ...operations import WEIGHT
from ...record import RegionRecord
from ..batches import Forward, run_batches
from ..config import QuantizationConfig
from ..phases.observe_mode import Observing
from .kept_calls import Call, change, kept_calls, outputs_of

#: Relative difference of the float outputs that reordered float32 sums may make.
TOLERANCE = 1e-3

#: By path of a batch norm, the path of the layer that it became part of.
Folded = dict[str, str]


def fold_batch_norm(
    model: nn.Module, config: QuantizationConfig, forward: Forward, batches: Iterable
) -> dict[str, Folded]:
    """Fold what can be folded, provably and without a change of the outputs.

    The layer has to be used by the batch norm alone, in every call. What is left
    runs as a product and a sum by channel.

    Args:
        model: The float model; gets new parameters, and an identity in the place of
            each batch norm that was folded.
        config: What to quantize.
        forward: Runs a batch.
        batches: Calibration batches; as many are run as it takes to see every region.

    Returns:
        What was folded, by region that has any batch norm.
    """
    names = [
        name
        for name in config.regions
        if any(isinstance(m, _BatchNorm) for m in model.get_submodule(name).modules())
    ]
    done: dict[str, Folded] = {}
    for batch in batches if names else ():
        missing = [name for name in names if name not in done]
        if not missing:
            break
        records = {name: RegionRecord() for name in missing}
        modes = {name: Observing(record) for name, record in records.items()}
        # Detectors write their predictions into the batch.
        run_batches(model, modes, forward, [copy.deepcopy(batch)])
        for name, record in records.items():
            if record.operations:
                calls = kept_calls(model, [name], forward, [copy.deepcopy(batch)])
                done[name] = _fold(model.get_submodule(name), record, model, calls)
    return done


def foldable(module: nn.Module, record: RegionRecord) -> Folded:
    """Batch norms that alone use a layer, which nothing else uses, and that layer.

    Args:
        module: The region.
        record: What was seen of it, in at least one call.
    """
    users: dict[str, set[str]] = {}  # by parameter, sites that use it
    for site, sources in record.sources.items():
        for source in sources[1:]:
            users.setdefault(str(source).removeprefix('parameter:'), set()).add(site)
    consumers, found = record.consumers(), {}
    for path, norm in module.named_modules():
        own = {s for s in record.operations if s.rpartition('/')[0] == path}
        if not isinstance(norm, _BatchNorm) or not own:
            continue
        made_by = {record.sources[s][0] for s in own if record.operations[s] == 'mul'}
        weights = {_weight(record, site) for site in made_by}
        if len(weights) != 1 or '' in weights:
            continue
        (weight,) = weights
        layer = weight.rpartition('.')[0]
        target = module.get_submodule(layer)
        sites = users[weight] | users.get(f'{layer}.bias', set())
        alone = all(
            {user for user, _ in consumers[site]} <= own and consumers[site]
            for site in sites
        )
        if (
            alone
            and sites == made_by
            and not sites & record.outputs
            and _own_parameters(module, target)
        ):
            found[path] = layer
    return found


def _weight(record: RegionRecord, site: str | None) -> str:
    """Name of the weight of a layer's site, '' if it is none."""
    if site not in record.operations:
        return ''
    weight = [*record.sources[site], None][1]
    name = str(weight).removeprefix('parameter:')
    return name if record.parameters.get(name) == {WEIGHT} else ''


def _own_parameters(module: nn.Module, layer: nn.Module) -> bool:
    """Whether a layer's parameters are its weight and bias, and of no other module."""
    mine = {id(p) for p in layer._parameters.values() if p is not None}
    others = (m for m in module.modules() if m is not layer)
    shared = {id(p) for m in others for p in m._parameters.values()} & mine
    return set(layer._parameters) == {'weight', 'bias'} and not shared


def _fold(
    module: nn.Module, record: RegionRecord, model: nn.Module, calls: Sequence[Call]
) -> Folded:
    """Fold in one region; nothing, if its outputs would be others."""
    found = foldable(module, record)
    before = outputs_of(model, calls)
    norms = {path: module.get_submodule(path) for path in found}
    old: dict[str, dict[str, Any]] = {}
    for path, layer in found.items():
        target = module.get_submodule(layer)
        old[layer] = dict(target._parameters)
        for key, value in folded_parameters(target, norms[path]).items():
            target._parameters[key] = nn.Parameter(value)
    without_norms(module, found)
    if change(before, outputs_of(model, calls)) <= TOLERANCE:
        return found
    for path, layer in found.items():  # a norm of something else than it seemed
        module.get_submodule(layer)._parameters.update(old[layer])
        replace_module(module, path, norms[path])
    without_norms(module, {})
    return {}


@torch.no_grad()
def folded_parameters(layer: Any, norm: Any) -> dict[str, Tensor]:
    """Weight and bias of a layer with the batch norm that follows it."""
    gain = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        gain = gain * norm.weight.double()
    bias = -norm.running_mean.double() * gain
    if layer.bias is not None:
        bias = bias + layer.bias.double() * gain
    if norm.bias is not None:
        bias = bias + norm.bias.double()
    weight = layer.weight.double() * gain.view(-1, *[1] * (layer.weight.dim() - 1))
    dtype = layer.weight.dtype
    return {'weight': weight.to(dtype), 'bias': bias.to(dtype)}
