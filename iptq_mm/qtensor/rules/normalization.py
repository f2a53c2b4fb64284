"""Rules of LayerNorm and batch norm."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import SMALLER_REGION, unsupported
from ..mode import Mode
from ..tensor import QTensor
from .dispatch import apply_rule
from .operands import Operand, check_parameters, run_operation
from .table import rule


# The integer function is chosen for each site, see iptq_mm.functions.layernorm. Gamma
# and beta enter its constants, so that they may be computed from parameters.
@rule(F.layer_norm, torch.layer_norm, computes=True)
def _layer_norm(
    mode: Mode,
    x: QTensor,
    normalized_shape: Any,
    weight: Operand = None,
    bias: Operand = None,
    eps: float = 1e-5,
    *args: Any,
) -> QTensor:
    if tuple(normalized_shape) != tuple(x.payload.shape[-1:]):
        raise unsupported(
            f'LayerNorm over {tuple(normalized_shape)} has no rule, only over the last '
            'dimension it has one'
        )
    check_parameters(weight, bias, whole=False)
    return run_operation(mode, 'layer_norm', [x, weight, bias], dict(eps=eps))


# With running statistics it is a product and a sum by channel, both of constants. Most
# batch norms never get here: calibration folds them into the layer before them
# (iptq_mm.calibration.fold_batch_norm).
@rule(F.batch_norm, torch.batch_norm, computes=True)
def _batch_norm(
    mode: Mode,
    x: QTensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: QTensor | None = None,
    bias: QTensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> QTensor:
    if training or running_mean is None or running_var is None:
        raise unsupported(
            'batch norm with the statistics of a batch has no rule, only running '
            'statistics have',
            f'call model.eval(), or {SMALLER_REGION}',
        )
    given = (running_mean, running_var, weight, bias, eps, x.payload.dim())
    gain = mode.fold(_gain, given, {})
    scaled = apply_rule(mode, torch.mul, (x, gain), {})
    return apply_rule(mode, torch.add, (scaled, mode.fold(_addend, given, {})), {})


def _gain(
    mean: Tensor, var: Tensor, weight: Tensor | None, bias: Any, eps: float, dims: int
) -> Tensor:
    """The factor of each channel, ``weight / sqrt(var + eps)``."""
    gain = (var + eps).rsqrt()
    return _by_channel(gain if weight is None else gain * weight, dims)


def _addend(
    mean: Tensor,
    var: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    dims: int,
) -> Tensor:
    """The addend of each channel, ``bias - mean * gain``."""
    addend = -_by_channel(mean, dims) * _gain(mean, var, weight, bias, eps, dims)
    return addend if bias is None else addend + _by_channel(bias, dims)


def _by_channel(values: Tensor, dims: int) -> Tensor:
    """Numbers of channels in a shape that broadcasts along all but dimension 1."""
    return values.view(-1, *[1] * (dims - 2))
