"""Turning the float module of a region into an integer one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..intmath import storage_dtype
from ..kept_float import keep_float, quantized_modules, quantized_parameters
from ..pixels import take_pixels
from ..plan import RegionPlan
from ..plan.packed_state import PLAN_KEY, unpack_state
from . import Integer, Region, bind, bound_region
from .real_parameters import derive_again, loads_itself


def install(
    name: str,
    module: nn.Module,
    plan: RegionPlan,
    integers: dict[str, Tensor] | None = None,
) -> None:
    """Replace the parameters of a module by integers and bind it in integer mode.

    Args:
        name: Name of the region.
        module: The float module.
        plan: Its plan.
        integers: The integer parameters. None: zeros, which a checkpoint overwrites.

    Raises:
        PlanError: If the plan is not for this module.
    """
    plan.check(name, module)
    keep_float(module, plan.kept_float)
    frozen = {}
    for full, value in quantized_parameters(module):
        bound = plan.parameters[full].bound
        if integers is None:
            dtype = storage_dtype(-bound, bound)
            data = torch.zeros(value.shape, dtype=dtype, device=value.device)
        else:
            data = integers[full]
        frozen[id(value)] = nn.Parameter(data, requires_grad=False)
    for child in quantized_modules(module):
        for key, parameter in child._parameters.items():
            if parameter is not None:
                child._parameters[key] = frozen[id(parameter)]
    module.register_buffer(PLAN_KEY, plan.to_tensor())
    take_pixels(module, plan.pixels)
    bind(module, Region(name, Integer(plan)))
    hooks = module._load_state_dict_post_hooks
    if _derive_again not in hooks.values():
        module.register_load_state_dict_post_hook(_derive_again)
    if integers is not None:
        _derive_again(module)
        if _unpack not in map(_own, module._load_state_dict_pre_hooks.values()):
            module._register_load_state_dict_pre_hook(_unpack, with_module=True)


def _unpack(
    module: nn.Module, state_dict: dict[str, Tensor], prefix: str, *args: Any
) -> None:
    """Unpack what a file holds for a module that was quantized in memory."""
    region = bound_region(module)
    if region is not None and isinstance(region.mode, Integer):
        unpack_state(state_dict, prefix, region.mode.plan)


def _own(hook: Any) -> Any:
    """The function that a hook calls, which torch wraps."""
    return getattr(hook, 'hook', hook)


def _derive_again(module: nn.Module, *incompatible: Any) -> None:
    """Recompute tensors that a region derives from its parameters, from real values.

    It is called here and after loading a checkpoint, so that both have the same bits.
    """
    region = bound_region(module)
    if region is not None and not loads_itself():
        derive_again(module, region.mode)


def fit_first_layer(module: nn.Module, plan: RegionPlan) -> None:
    """Give the first layer the channels that a plan has: with or without the mark.

    Args:
        module: The module as its config builds it, or as another plan changed it.
        plan: The plan that will be installed.
    """
    if plan.pixels is None:
        return
    channels = len(plan.pixels.mean)
    for child in module.modules():
        for key, old in child._parameters.items():
            if old is None or old.dim() != 4:
                continue
            name = next(n for n, p in module.named_parameters() if p is old)
            wanted = getattr(plan.parameters.get(name), 'shape', old.shape)
            either = {channels, channels + 1}
            if {old.shape[1], wanted[1]} == either and old.shape[2:] == wanted[2:]:
                room = old.new_zeros(wanted)
                child._parameters[key] = nn.Parameter(room, requires_grad=False)
