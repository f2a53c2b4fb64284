"""Turning an integer region into one that is trained, and back."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median

import torch
from torch import Tensor, nn

from ...intmath.qparams import as_float32
from ...operations import OPERATIONS, NonLinear
from ...plan import RegionPlan
from ...qtensor import WeightQParams
from ..binding import bind, bound_region, unbind
from ..install import PLAN_KEY
from ..integer import Integer
from ..region import Region
from .mode import Kernels, Training, factors_by_name, integers_of
from .ranges import RANGES_KEY

#: A float weight starts less than so many steps from its integer; half a step would
#: round to the next one. Were many of them close to that, the first steps of training
#: would change them all at once, and undo what the rounding has optimized.
_MOST = 0.4
#: A parameter with one scale may grow to so many times its largest magnitude.
_ROOM = 2.0


def begin_training(
    module: nn.Module,
    wanted: Mapping[str, Tensor] | None = None,
    kernels: Kernels | None = None,
    ranges: Sequence[str] = (),
) -> None:
    """Give the region of a module float parameters, and the mode that trains them.

    Weights keep their scales. Biases, the parameters of LayerNorms and embeddings get
    a scale that leaves them room to grow.

    Args:
        module: The module of a region, in integer mode.
        wanted: Real values of parameters, by name, before they were rounded. A float
            weight starts between its integer and them, without another integer. None:
            it starts at the integer.
        kernels: Computes sites faster than torch, see :class:`.mode.Kernels`.
        ranges: Sites whose ranges are trained, too, by a parameter of the module, see
            :func:`.ranges.values_with_ranges`.

    Raises:
        RuntimeError: If the module is no region in integer mode.
    """
    region = bound_region(module)
    if region is None or type(region.mode) is not Integer:
        raise RuntimeError('only a region in integer mode can be trained')
    plan, floats = with_room(region.mode.plan), {}
    factors = factors_by_name(plan, dict(module.named_parameters()))
    for name, integers in module.named_parameters():
        scale = _scale(region.mode, name, integers) * factors.get(name, 1.0)
        steps = integers.double() / factors.get(name, 1.0)
        if wanted and name in wanted:
            steps = towards(steps, wanted[name].double().to(steps.device) / scale)
        real = (steps * scale).float()
        floats[id(integers)] = nn.Parameter(real)
    _exchange(module, floats)
    # Not a parameter's: a module that averages tokens has none.
    device = module._buffers[PLAN_KEY].device  # type: ignore[union-attr]
    module._buffers[PLAN_KEY] = plan.to_tensor().to(device)
    unbind(module)
    mode = Training(plan, ranges=ranges, factors=factors)
    mode.kernels = kernels
    if ranges:
        logarithms = nn.Parameter(torch.zeros(len(ranges), device=device))
        module.register_parameter(RANGES_KEY, logarithms)
    bind(module, Region(region.name, mode))


def towards(integers: Tensor, wanted: Tensor) -> Tensor:
    """Where weights start: between integers and real values, without other integers.

    Args:
        integers: The integers, float64.
        wanted: The real values before they were rounded, in steps.
    """
    rest = wanted - integers
    return integers + _MOST * rest / (0.5 + rest.abs())


def end_training(module: nn.Module) -> None:
    """Give the region of a module the integers that its parameters stand for."""
    region = bound_region(module)
    assert region is not None and isinstance(region.mode, Training)
    ranges = module._parameters.pop(RANGES_KEY, None)
    if ranges is not None:
        region.mode.ranges.take(ranges)
        # What calibration clipped was counted in steps of the scales before.
        region.mode.plan.calibrated = None
        module._buffers[PLAN_KEY] = region.mode.plan.to_tensor().to(ranges.device)
    integers = {}
    with torch.no_grad():
        for name, value in module.named_parameters():
            q = integers_of(region.mode.parameter(name, value)).payload
            integers[id(value)] = nn.Parameter(q, requires_grad=False)
    _exchange(module, integers)
    unbind(module)
    bind(module, Region(region.name, Integer(region.mode.plan)))


def keep_constants(module: nn.Module) -> None:
    """Put constants of functions that the plan lacks into it, after a call.

    The plan has those that depend on no parameter, because another version of a library
    may compute another last bit of them. A learned range makes them void.

    Args:
        module: The module of a region, in integer mode, that has run.
    """
    region = bound_region(module)
    assert region is not None and isinstance(region.mode, Integer)
    plan, changed = region.mode.plan, False
    for site, planned in plan.sites.items():
        operation = OPERATIONS[planned.operation]
        lacks = isinstance(operation, NonLinear) and operation.saved
        if not lacks or planned.constants is not None:
            continue
        made = region.mode.constants.made_at(site)
        if made:
            qparams, constants = max(made, key=lambda m: m[0].qmax - m[0].qmin)
            planned.made_for, changed = qparams, True
            planned.constants = {
                k: v.cpu() if isinstance(v, Tensor) else v for k, v in constants.items()
            }
    if changed:
        device = module._buffers[PLAN_KEY].device  # type: ignore[union-attr]
        module._buffers[PLAN_KEY] = plan.to_tensor().to(device)


def with_room(plan: RegionPlan) -> RegionPlan:
    """A plan by which parameters that have one scale may grow.

    The range of a parameter doubles. One that is smaller than half of those of its role
    (a bias of zeros) gets the range of their median.
    """
    ranges: dict[str, list[float]] = {}
    for parameter in plan.parameters.values():
        if not isinstance(parameter.scale, list):
            ranges.setdefault(parameter.role, []).append(
                parameter.scale * parameter.bound
            )
    other = copy.deepcopy(plan)
    for name, parameter in other.parameters.items():
        if not isinstance(parameter.scale, list):
            least = median(ranges[parameter.role]) / parameter.bound
            scale = as_float32(_ROOM * max(parameter.scale, least))
            other.parameters[name] = replace(parameter, scale=scale)
    return other


def _exchange(module: nn.Module, others: Mapping[int, nn.Parameter]) -> None:
    for child in module.modules():
        for key, parameter in child._parameters.items():
            if parameter is not None:
                child._parameters[key] = others[id(parameter)]


def _scale(mode: Integer, name: str, integers: Tensor) -> Tensor:
    qparams = mode.constants.parameter(name, integers)  # type: ignore[arg-type]
    if isinstance(qparams, WeightQParams):
        return qparams.grid(integers)
    return torch.tensor(qparams.scale, dtype=torch.float64, device=integers.device)
