"""Rules of ReLU, GELU and Softmax in all of torch's spellings."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..mode import Mode
from ..tensor import QTensor
from .operands import run_operation
from .table import rule


# max(c * x, 0) = c * max(x, 0) for c > 0: ReLU keeps the scale at which its operand was
# made, and is a comparison of integers. A number multiplied since then is taken out
# before and put back after.
@rule(F.relu, torch.relu, Tensor.relu, computes=True)
def relu(mode: Mode, x: QTensor, inplace: bool = False) -> QTensor:
    """``max(x, 0)``."""
    gain = abs(x.factor)
    made = x if gain == 1 else x.scaled(1 / gain)
    result = run_operation(mode, 'relu', [made], {})
    result = result if gain == 1 else result.scaled(gain)
    if not inplace:
        return result
    x.become(result)
    return x


@rule(torch.relu_, Tensor.relu_, computes=True)
def _relu_in_place(mode: Mode, x: QTensor) -> QTensor:
    return relu(mode, x, inplace=True)


# The integer function is chosen for each site, see iptq_mm.functions.gelu.
@rule(F.gelu, computes=True)
def _gelu(mode: Mode, x: QTensor, approximate: str = 'none') -> QTensor:
    return run_operation(mode, 'gelu', [x], dict(approximate=approximate))


# The integer functions work along the last dimension, so another one is moved there.
@rule(F.softmax, torch.softmax, Tensor.softmax, computes=True)
def softmax(mode: Mode, x: QTensor, dim: int, *args: Any, **kwargs: Any) -> QTensor:
    """Softmax along ``dim``; a dtype or stack level among the arguments is ignored."""
    if dim not in (-1, x.payload.dim() - 1):
        return softmax(mode, x.transpose(dim, -1), -1).transpose(dim, -1)
    return run_operation(mode, 'softmax', [x], {})
