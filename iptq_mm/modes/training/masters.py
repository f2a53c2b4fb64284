"""The float parameters that training begins with."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...qtensor import WeightQParams
from ..integer import Integer

#: A float weight starts at most so far from its integer, in steps. Half a step would
#: round to the next one.
_MOST = 0.49


def master_of(
    mode: Integer, name: str, integers: nn.Parameter, wanted: Tensor | None = None
) -> nn.Parameter:
    """A float parameter that rounds to the integers of a parameter.

    Args:
        mode: The mode of the region.
        name: Name of the parameter.
        integers: Its integers.
        wanted: Its real value before it was rounded. The float starts as near to it as
            it can be without another integer. None: it starts at the integer.
    """
    scale, steps = step_of(mode, name, integers), integers.double()
    if wanted is not None:
        rest = wanted.double().to(steps.device) / scale - steps
        steps = steps + rest.clamp(-_MOST, _MOST)
    return nn.Parameter((steps * scale).float())


def step_of(mode: Integer, name: str, integers: nn.Parameter) -> Tensor:
    """The real value of one step of a parameter, float64, broadcasts to it."""
    qparams = mode.constants.parameter(name, integers)
    if isinstance(qparams, WeightQParams):
        return qparams.grid(integers)
    return torch.tensor(qparams.scale, dtype=torch.float64, device=integers.device)
