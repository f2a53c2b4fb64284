"""Rules that repeat or leave out pixels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .errors import UnsupportedOperationError
from .padding import pair
from .rules import rule
from .tensor import QTensor


@rule(F.interpolate, computes=True)
def _interpolate(
    running: Any,
    x: QTensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = 'nearest',
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> QTensor:
    if mode not in ('nearest', 'nearest-exact') or x.payload.dim() != 4:
        raise UnsupportedOperationError(
            f"interpolate with mode='{mode}' and {x.payload.dim()} dimensions; only "
            'the nearest pixel of images has a rule: choose a smaller region'
        )
    height, width = x.payload.shape[-2:]
    places = torch.arange(height * width, dtype=torch.float64).view(1, 1, height, width)
    # Torch itself says which pixel is the nearest.
    nearest = F.interpolate(
        places, size, scale_factor, mode, recompute_scale_factor=recompute_scale_factor
    )
    down, across = nearest.shape[-2] // height, nearest.shape[-1] // width
    if torch.equal(nearest, _repeated(places, down, across)):
        return x.like(_repeated(x.payload, down, across))
    index = nearest[0, 0].long().to(x.payload.device)
    return x.like(x.payload.flatten(-2)[..., index])


def _repeated(x: Tensor, down: int, across: int) -> Tensor:
    """Each pixel as a block of pixels.

    Args:
        x: Shape (B, C, H, W).
        down: Height of a block.
        across: Width of a block.
    """
    batch, channels, height, width = x.shape
    blocks = x.view(batch, channels, height, 1, width, 1)
    blocks = blocks.expand(batch, channels, height, down, width, across)
    return blocks.reshape(batch, channels, height * down, width * across)


@rule(F.max_pool2d, torch.max_pool2d)
def _max_pool2d(
    mode: Any,
    x: QTensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> QTensor:
    if pair(kernel_size) != (1, 1) or return_indices:
        raise UnsupportedOperationError(
            f'maximum pooling with kernel {kernel_size}; only kernel 1, which leaves '
            'pixels out, has a rule: choose a smaller region'
        )
    # A window of one pixel; without a stride, all of them.
    down, across = pair(stride or 1)
    return x.like(x.payload[..., ::down, ::across])
