"""Rules of matrix products: linear layers, convolutions, einsum."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ...operations import TransposedConv2d
from ...patches import pair, transposed_rows
from ..errors import unsupported
from ..mode import Mode
from ..tensor import QTensor
from ..weight_qparams import WeightQParams
from .operands import Operand, check_parameters, run_operation
from .padding import counted, padded_for
from .table import rule


# The weight has one scale for each output channel, so it must be one whole parameter.
@rule(F.linear, computes=True)
def linear(mode: Mode, x: Operand, weight: Operand, bias: Operand = None) -> QTensor:
    """A linear layer."""
    check_parameters(weight, bias, whole=True)
    return run_operation(mode, 'linear', [x, weight, bias], {})


# The integer 0 stands for 0.0, so the convolution pads by itself; only pixels, whose
# zero point is another number, are padded before.
@rule(F.conv2d, computes=True)
def _conv2d(
    mode: Mode,
    x: Operand,
    weight: Operand,
    bias: Operand = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> QTensor:
    if isinstance(x, QTensor) and x.zero_point is not None:
        x, padding = padded_for(x, padding), 0
    elif isinstance(padding, str) and isinstance(x, QTensor):
        x, padding = counted(x, weight.shape[2:], padding, dilation)  # type: ignore
    attributes = dict(
        stride=pair(stride),
        padding=pair(padding),
        dilation=pair(dilation),
        groups=groups,
    )
    check_parameters(weight, bias, whole=True)
    return run_operation(mode, 'conv2d', [x, weight, bias], attributes)


# If the stride is the kernel, no two inputs meet in an output: the layer is a 1x1
# convolution with kh * kw outputs for each pixel and channel, which then move to their
# places. A general one would need a scatter-add.
@rule(F.conv_transpose2d, computes=True)
def conv_transpose2d(
    mode: Mode,
    x: QTensor,
    weight: QTensor,
    bias: QTensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> QTensor:
    """A transposed convolution whose stride is its kernel, as a 1x1 convolution."""
    check_parameters(weight, bias, whole=True)
    if not isinstance(x, QTensor) or not isinstance(weight, QTensor):
        raise unsupported(
            'a transposed convolution has an input or weight that is neither a '
            'parameter nor computed from the input of the region'
        )
    _, channels, down, across = weight.payload.shape
    usual = [pair(padding), pair(output_padding), pair(dilation)]
    if (
        pair(stride) != (down, across)
        or groups != 1
        or usual != [(0, 0), (0, 0), (1, 1)]
    ):
        raise unsupported(
            f'a transposed convolution with kernel {(down, across)}, stride {stride}, '
            f'padding {padding} and {groups} groups has no rule, only stride = kernel '
            'without padding, dilation and groups has'
        )
    rows = weight.like(transposed_rows(weight.payload)[..., None, None])
    if isinstance(rows.qparams, WeightQParams):
        rows.qparams = rows.qparams.of_rows
    repeated = bias
    if bias is not None:
        repeated = bias.like(bias.payload.repeat_interleave(down * across))
    attributes = dict(stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1)
    y = mode.run(TransposedConv2d(), [x, rows, repeated], attributes)
    batch, _, height, width = y.payload.shape
    blocks = y.payload.view(batch, channels, down, across, height, width)
    moved = blocks.permute(0, 1, 4, 2, 5, 3)
    return y.like(moved.reshape(batch, channels, height * down, width * across))


# Both operands are activations with one scale each: the product has one scale, too.
@rule(
    torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.bmm, Tensor.bmm, computes=True
)
def matmul(mode: Mode, a: Operand, b: Operand) -> QTensor:
    """A product of two values."""
    return run_operation(mode, 'matmul', [a, b], {})
