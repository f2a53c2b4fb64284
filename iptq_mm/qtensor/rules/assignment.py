"""The rule of ``x[index] = y``."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ..errors import unsupported
from ..mode import Mode
from ..tensor import QTensor
from .operands import run_operation
from .table import rule


# Both values get one scale, side by side, and each element of the result is taken from
# where it is.
@rule(Tensor.__setitem__)
def _assign(mode: Mode, x: Any, index: Any, value: Any) -> None:
    if not isinstance(x, QTensor) or x.constant or not isinstance(value, QTensor):
        raise unsupported(
            '__setitem__ of a plain tensor, of a parameter, or with a value that is '
            'not computed in the region has no rule',
            'make a new tensor, by torch.cat for example',
        )
    shape, count = x.payload.shape, x.payload.numel()
    places = torch.arange(count).view(shape)
    taken = value.payload.shape
    new = torch.arange(count, count + math.prod(taken)).view(taken)
    places[index] = new.expand(places[index].shape)
    both = [x.like(x.payload.reshape(-1)), value.like(value.payload.reshape(-1))]
    joined = run_operation(mode, 'cat', both, dict(dim=0))
    x.become(joined.like(joined.payload[places.to(joined.payload.device)]))
