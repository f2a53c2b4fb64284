"""Parameters become integers; the region becomes an integer module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..intmath import storage_dtype
from ..modes import Integer, Region, bind
from ..operations import WEIGHT
from ..plan import ParameterPlan, RegionPlan
from ..registry import ROUNDINGS

#: Name of the buffer that carries the plan in a region's state dict.
PLAN_KEY = 'quantization_plan'


def integers_of(value: Tensor, plan: ParameterPlan, rounding: dict) -> Tensor:
    """The integers of a parameter.

    Args:
        value: Real values.
        plan: Its plan.
        rounding: Registry dict of the weight rounding.

    Returns:
        Integers of the narrowest type, the shape of ``value``.
    """
    scale = plan.scales().to(value.device)
    if plan.role == WEIGHT:
        return ROUNDINGS.build(dict(rounding))(value, scale, plan.bits)
    q = (value.double() / scale).round().clamp(-plan.bound, plan.bound)
    return q.to(storage_dtype(-plan.bound, plan.bound))


def freeze(name: str, module: nn.Module, plan: RegionPlan, rounding: dict) -> None:
    """Turn a float region into an integer one, in place."""
    plan.check(name, module)
    integers = {
        n: integers_of(p.detach(), plan.parameters[n], rounding)
        for n, p in module.named_parameters()
    }
    install(name, module, plan, integers)


def install(
    name: str,
    module: nn.Module,
    plan: RegionPlan,
    integers: dict[str, Tensor] | None = None,
) -> None:
    """Give a module integer parameters and the integer mode.

    Args:
        name: Region name.
        module: The float module.
        plan: Its plan.
        integers: The parameters; None: zeros, to be filled by a checkpoint.

    Raises:
        PlanError: If plan and module do not belong together.
    """
    plan.check(name, module)
    frozen = {}
    for full, value in module.named_parameters():
        bound = plan.parameters[full].bound
        if integers is None:
            dtype = storage_dtype(-bound, bound)
            data = torch.zeros(value.shape, dtype=dtype, device=value.device)
        else:
            data = integers[full]
        frozen[id(value)] = nn.Parameter(data, requires_grad=False)
    for child in module.modules():
        for key, parameter in child._parameters.items():
            if parameter is not None:
                child._parameters[key] = frozen[id(parameter)]
    module.register_buffer(PLAN_KEY, plan.to_tensor())
    bind(module, Region(name, Integer(plan)))
