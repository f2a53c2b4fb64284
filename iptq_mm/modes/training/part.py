"""Running a sub-module of a region by itself, on values that were kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...qtensor.context import Location, located
from ..base import Mode
from ..binding import bound_region
from ..leftovers import no_leftovers
from ..parameters import seen_as


def run_part(
    module: nn.Module,
    path: str,
    mode: Mode,
    args: tuple,
    kwargs: Mapping[str, Any],
    parameters: Mapping[str, Tensor] | None = None,
) -> Any:
    """Call a sub-module of a region as the region's own code calls it.

    Its sites have the names that they have in a call of the whole region, if the region
    calls it once.

    Args:
        module: The module of the region, bound.
        path: Path of the sub-module in it, not empty.
        mode: The mode to run in.
        args: Arguments, with QTensors that suit the mode.
        kwargs: Arguments by name, likewise.
        parameters: By name in the region, tensors that the mode gets in the place of
            parameters of the sub-module; those that are not there are themselves.

    Returns:
        What the sub-module returns, with QTensors in it.
    """
    region = bound_region(module)
    assert region is not None
    part = module.get_submodule(path)
    others = parameters or {}
    seen = {}
    for name, value in parameters_of(module, path).items():
        seen[id(value)] = mode.parameter(name, others.get(name, value))  # type: ignore
        seen[id(value)].whole = True
    device = next((p.device.type for p in module.parameters()), 'cpu')
    with (
        torch.autocast(device, enabled=False),
        region.lock,
        located(Location(mode, region.name)),
        no_leftovers(part, mode),
        seen_as(seen),
    ):
        return part(*args, **kwargs)


def parameters_of(module: nn.Module, path: str) -> dict[str, nn.Parameter]:
    """The parameters of a sub-module, by the names that they have in the module.

    Args:
        module: The module. Where its parts share a parameter, it has the first name.
        path: Path of the sub-module.
    """
    mine = {id(p) for p in module.get_submodule(path).parameters()}
    return {n: p for n, p in module.named_parameters() if id(p) in mine}
