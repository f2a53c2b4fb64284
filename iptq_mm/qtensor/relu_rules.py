"""ReLU in torch's spellings."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..operations import OPERATIONS
from .errors import UnsupportedOperationError
from .rules import rule
from .tensor import QTensor


@rule(F.relu, torch.relu, Tensor.relu, computes=True)
def _relu(mode: Any, x: QTensor, inplace: bool = False) -> QTensor:
    # max(c x, 0) = c max(x, 0): ReLU keeps the scale at which its operand was made.
    gain = abs(x.factor)
    made = x if gain == 1 else x.scaled(1 / gain)
    result = mode.run(OPERATIONS['relu'], [made], {})
    result = result if gain == 1 else result.scaled(gain)
    if not inplace:
        return result
    x.become(result)
    return x


@rule(torch.relu_, Tensor.relu_, computes=True)
def _relu_in_place(mode: Any, x: QTensor) -> QTensor:
    return _relu(mode, x, inplace=True)


@rule(torch.clamp, Tensor.clamp, computes=True)
def _clamp(
    mode: Any, x: QTensor, min: Any = None, max: Any = None, inplace: bool = False
) -> QTensor:
    if isinstance(min, Tensor) or min != 0 or max is not None:
        raise UnsupportedOperationError(
            'clamp to other bounds; only clamp(min=0), ReLU, has a rule'
        )
    return _relu(mode, x, inplace)


@rule(torch.clamp_, Tensor.clamp_, computes=True)
def _clamp_in_place(mode: Any, x: QTensor, min: Any = None, max: Any = None) -> QTensor:
    return _clamp(mode, x, min, max, inplace=True)
