"""Rules that repeat pixels or leave them out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ...patches import pair
from ..errors import unsupported
from ..mode import Mode
from ..tensor import QTensor
from .table import rule


# The nearest pixel is a gather. Other interpolations would be weighted sums.
@rule(F.interpolate, computes=True)
def _interpolate(
    running: Mode,
    x: QTensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = 'nearest',
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> QTensor:
    if mode not in ('nearest', 'nearest-exact') or x.payload.dim() != 4:
        raise unsupported(
            f"interpolate with mode='{mode}' and {x.payload.dim()} dimensions has no "
            'rule, only the nearest pixel of images has'
        )
    height, width = x.payload.shape[-2:]
    index = torch.arange(height * width, dtype=torch.float64).view(1, 1, height, width)
    # Torch itself says which pixel is the nearest.
    nearest = F.interpolate(
        index, size, scale_factor, mode, recompute_scale_factor=recompute_scale_factor
    )
    down, across = nearest.shape[-2] // height, nearest.shape[-1] // width
    if torch.equal(nearest, _repeated(index, down, across)):
        return x.like(_repeated(x.payload, down, across))
    gathered = nearest[0, 0].long().to(x.payload.device)
    return x.like(x.payload.flatten(-2)[..., gathered])


def _repeated(x: Tensor, down: int, across: int) -> Tensor:
    """Each pixel repeated as a block of pixels.

    Args:
        x: Shape (B, C, H, W).
        down: Height of a block.
        across: Width of a block.
    """
    batch, channels, height, width = x.shape
    blocks = x.view(batch, channels, height, 1, width, 1)
    blocks = blocks.expand(batch, channels, height, down, width, across)
    return blocks.reshape(batch, channels, height * down, width * across)


# A window of one pixel selects by the stride. A larger one would be a maximum of
# integers: correct, but no model that is supported needs it.
@rule(F.max_pool2d, torch.max_pool2d)
def _max_pool2d(
    mode: Mode,
    x: QTensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> QTensor:
    if pair(kernel_size) != (1, 1) or return_indices:
        raise unsupported(
            f'maximum pooling with kernel {kernel_size} has no rule, only kernel 1, '
            'which selects pixels, has'
        )
    # Without a stride, the stride is the kernel: every pixel stays.
    down, across = pair(stride or 1)
    return x.like(x.payload[..., ::down, ::across])
