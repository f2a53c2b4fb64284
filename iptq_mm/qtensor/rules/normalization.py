"""Rules of LayerNorm and batch norm, and of norms made of LayerNorm."""

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
    shape, dims = x.payload.shape, len(tuple(normalized_shape))
    if tuple(normalized_shape) != tuple(shape[-dims:]):
        raise unsupported(
            f'LayerNorm over {tuple(normalized_shape)} of a tensor of shape '
            f'{tuple(shape)} has no rule'
        )
    if dims > 1:
        rows: Any = x.reshape(*shape[:-dims], -1)
        flat = [p if p is None else p.flatten() for p in (weight, bias)]
        made: Any = _layer_norm(mode, rows, rows.shape[-1:], *flat, eps)
        return made.reshape(shape)
    check_parameters(weight, bias, whole=False)
    return run_operation(mode, 'layer_norm', [x, weight, bias], dict(eps=eps))


# Beside its negatives, a row has the mean 0, so that LayerNorm divides by the root of
# its mean square: any function for LayerNorm, and any kernel, serves as an RMSNorm.
def rms_norm(
    mode: Mode,
    x: QTensor,
    normalized_shape: Any,
    weight: Operand = None,
    eps: float | None = None,
) -> QTensor:
    """``x / sqrt(mean(x**2) + eps) * weight`` along the last dimension."""
    size = x.payload.shape[-1]
    if tuple(normalized_shape) != (size,):
        raise unsupported(
            f'RMSNorm over {tuple(normalized_shape)} has no rule, only over the last '
            'dimension it has one'
        )
    eps = torch.finfo(torch.float32).eps if eps is None else eps
    both = run_operation(mode, 'cat', [x, x.scaled(-1.0)], dict(dim=-1))
    twice = weight
    if weight is not None:
        check_parameters(weight, None, whole=False)
        twice = mode.fold(torch.cat, ([weight, weight],), {})
    normed = run_operation(mode, 'layer_norm', [both, twice, None], dict(eps=eps))
    return normed.like(normed.payload[..., :size])


if hasattr(F, 'rms_norm'):  # since torch 2.4
    rule(F.rms_norm, torch.rms_norm, computes=True)(rms_norm)


# x / |x| is RMSNorm without gamma over the root of the size.
@rule(F.normalize, computes=True)
def _normalize(
    mode: Mode, x: QTensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12
) -> QTensor:
    if p != 2:
        raise unsupported(f'normalize with p={p} has no rule, only p=2 has')
    rows: Any = x.transpose(dim, -1)
    size = rows.payload.shape[-1]
    made: Any = rms_norm(mode, rows, (size,), None, eps * eps / size)
    return made.scaled(size**-0.5).transpose(dim, -1)


# A group may have more elements than LayerNorm serves: means, a difference, squares,
# and one over a root, each at a site.
@rule(F.group_norm, torch.group_norm, computes=True)
def group_norm(
    mode: Mode,
    x: QTensor,
    num_groups: int,
    weight: Operand = None,
    bias: Operand = None,
    eps: float = 1e-5,
    *args: Any,
) -> QTensor:
    """Groups of channels, each with mean 0 and variance 1."""
    shape = x.payload.shape
    rows = x.reshape(shape[0], num_groups, -1)
    centred: Any = rows - rows.mean(-1, keepdim=True)
    variance = (centred * centred).mean(-1, keepdim=True)
    root = run_operation(mode, 'unary', [variance], {'name': 'rsqrt', 'offset': eps})
    result = (centred * root).reshape(shape)
    channels = (1, shape[1], *[1] * (len(shape) - 2))
    if weight is not None:
        result = result * weight.view(channels)
    return result if bias is None else result + bias.view(channels)


@rule(F.instance_norm, torch.instance_norm, computes=True)
def _instance_norm(
    mode: Mode,
    x: QTensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Operand = None,
    bias: Operand = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *args: Any,
) -> QTensor:
    if not use_input_stats:
        return _batch_norm(mode, x, running_mean, running_var, weight, bias, eps=eps)
    return group_norm(mode, x, x.payload.shape[1], weight, bias, eps)


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
