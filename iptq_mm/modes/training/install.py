"""Turning an integer region into one that is trained, and back."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..binding import bind, bound_region, unbind
from ..integer import Integer
from ..region import Region
from .masters import master_of
from .mode import Training, integers_of


def begin_training(
    module: nn.Module, wanted: Mapping[str, Tensor] | None = None
) -> None:
    """Give the region of a module float parameters, and the mode that trains them.

    Args:
        module: The module of a region, in integer mode.
        wanted: Real values of parameters, by name, before they were rounded. A float
            parameter starts as near to them as it can be without another integer. None:
            it starts at the integer.

    Raises:
        RuntimeError: If the module is no region in integer mode.
    """
    region = bound_region(module)
    if region is None or type(region.mode) is not Integer:
        raise RuntimeError('only a region in integer mode can be trained')
    plan, floats = region.mode.plan, {}
    for name, integers in module.named_parameters():
        real = (wanted or {}).get(name)
        floats[id(integers)] = master_of(region.mode, name, integers, real)
    _exchange(module, floats)
    unbind(module)
    bind(module, Region(region.name, Training(plan)))


def end_training(module: nn.Module) -> None:
    """Give the region of a module the integers that its parameters stand for."""
    region = bound_region(module)
    assert region is not None and isinstance(region.mode, Training)
    integers = {}
    with torch.no_grad():
        for name, value in module.named_parameters():
            q = integers_of(region.mode.parameter(name, value)).payload
            integers[id(value)] = nn.Parameter(q, requires_grad=False)
    _exchange(module, integers)
    unbind(module)
    bind(module, Region(region.name, Integer(region.mode.plan)))


def _exchange(module: nn.Module, others: Mapping[int, nn.Parameter]) -> None:
    for child in module.modules():
        for key, parameter in child._parameters.items():
            if parameter is not None:
                child._parameters[key] = others[id(parameter)]
