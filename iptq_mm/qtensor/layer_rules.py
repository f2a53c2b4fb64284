"""Rules of layers that are several operations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..operations import TransposedConv2d
from ..patches import transposed_rows
from .errors import UnsupportedOperationError
from .operands import check_parameters
from .padding import pair
from .rules import apply_rule, rule
from .tensor import QTensor, WeightQParams


@rule(F.conv_transpose2d, computes=True)
def conv_transpose2d(
    mode: Any,
    x: QTensor,
    weight: QTensor,
    bias: QTensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> QTensor:
    """A transposed convolution whose stride is its kernel.

    No two inputs meet in an output then: it is a convolution of 1x1 that makes
    ``kh * kw`` outputs of each pixel and channel, and these move to where they belong.
    """
    check_parameters(weight, bias, whole=True)
    if not isinstance(x, QTensor) or not isinstance(weight, QTensor):
        raise UnsupportedOperationError('a transposed convolution of a float tensor')
    _, channels, down, across = weight.payload.shape
    usual = [pair(padding), pair(output_padding), pair(dilation)]
    if (
        pair(stride) != (down, across)
        or groups != 1
        or usual != [(0, 0), (0, 0), (1, 1)]
    ):
        raise UnsupportedOperationError(
            f'a transposed convolution with kernel {(down, across)}, stride {stride}, '
            f'padding {padding} and {groups} groups; only stride = kernel, without '
            'padding, dilation and groups has a rule: choose a smaller region'
        )
    rows = weight.like(transposed_rows(weight.payload)[..., None, None])
    if isinstance(rows.qparams, WeightQParams):
        rows.qparams = rows.qparams.of_rows
    spread = bias
    if bias is not None:
        spread = bias.like(bias.payload.repeat_interleave(down * across))
    attributes = dict(stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1)
    y = mode.run(TransposedConv2d(), [x, rows, spread], attributes)
    batch, _, height, width = y.payload.shape
    blocks = y.payload.view(batch, channels, down, across, height, width)
    moved = blocks.permute(0, 1, 4, 2, 5, 3)
    return y.like(moved.reshape(batch, channels, height * down, width * across))


@rule(F.batch_norm, torch.batch_norm, computes=True)
def _batch_norm(
    mode: Any,
    x: QTensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: QTensor | None = None,
    bias: QTensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> QTensor:
    # As a rule there is none left: see calibration.fold_batch_norm.
    if training or running_mean is None or running_var is None:
        raise UnsupportedOperationError(
            'batch norm over the images of a batch: only running statistics, as in '
            'eval mode, have a rule'
        )
    given = (running_mean, running_var, weight, bias, eps, x.payload.dim())
    gain = mode.fold(_gain, given, {})
    scaled = apply_rule(mode, torch.mul, (x, gain), {})
    return apply_rule(mode, torch.add, (scaled, mode.fold(_addend, given, {})), {})


def _gain(
    mean: Tensor, var: Tensor, weight: Tensor | None, bias: Any, eps: float, dims: int
) -> Tensor:
    """What batch norm multiplies each channel by."""
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
    """What it adds then."""
    addend = -_by_channel(mean, dims) * _gain(mean, var, weight, bias, eps, dims)
    return addend if bias is None else addend + _by_channel(bias, dims)


def _by_channel(values: Tensor, dims: int) -> Tensor:
    """Numbers of channels, to be broadcast along all but dimension 1."""
    return values.view(-1, *[1] * (dims - 2))
