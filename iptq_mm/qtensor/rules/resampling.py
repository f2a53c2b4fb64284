"""Rules that resize images."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import unsupported
from ..mode import Mode
from ..tensor import QTensor
from .dispatch import apply_rule
from .table import rule

_NEAREST = ('nearest', 'nearest-exact')
_LINEAR = ('bilinear', 'bicubic')


# The nearest pixel is a gather. Other interpolations are weighted sums, first along the
# height and then along the width.
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
    if mode not in (*_NEAREST, *_LINEAR) or x.payload.dim() != 4:
        raise unsupported(
            f"interpolate with mode='{mode}' and {x.payload.dim()} dimensions has no "
            f'rule, only {", ".join([*_NEAREST, *_LINEAR])} of images have'
        )
    height, width = x.payload.shape[-2:]
    if mode in _LINEAR:
        how = dict(
            mode=mode,
            align_corners=align_corners,
            recompute_scale_factor=recompute_scale_factor,
            antialias=antialias,
        )
        for dim in (-2, -1):
            weights = _weights_along(dim, (height, width), size, scale_factor, how)
            x = _weighted(running, x, dim, weights)
        return x
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


def _weights_along(
    dim: int, sizes: tuple[int, int], size: Any, scale: Any, how: dict[str, Any]
) -> Tensor:
    """The weight of each old pixel in each new one, along one dimension.

    Torch itself says it: it resizes images that have a single pixel of 1.

    Args:
        dim: -2 for the height, -1 for the width.
        sizes: Height and width.
        size: As in ``interpolate``.
        scale: The same.
        how: Its other arguments.
    """
    count = sizes[dim]

    def along(given: Any, other: float) -> Any:
        if given is None:
            return None
        both = tuple(given) if isinstance(given, tuple | list) else (given, given)
        return (both[0], other) if dim == -2 else (other, both[1])

    single = torch.eye(count, dtype=torch.float64)
    images = single[:, None, :, None] if dim == -2 else single[:, None, None, :]
    made = F.interpolate(images, along(size, 1), along(scale, 1.0), **how)
    return made.view(count, -1).t()


def _weighted(mode: Mode, x: QTensor, dim: int, weights: Tensor) -> QTensor:
    """Sums of pixels times their weights, along one dimension.

    Args:
        mode: The running mode.
        x: Shape (B, C, H, W).
        dim: -2 or -1.
        weights: Shape (new size, old size).
    """
    taps = int((weights != 0).sum(1).max())
    found = weights.abs().topk(taps, 1).indices.sort(1).values
    total = None
    for tap in found.unbind(1):
        factors = weights.gather(1, tap[:, None]).float()
        factors = factors if dim == -2 else factors[:, 0]
        moved = x.like(x.payload.index_select(dim, tap.to(x.payload.device)))
        part = apply_rule(mode, torch.mul, (moved, factors.to(x.payload.device)), {})
        total = (
            part if total is None else apply_rule(mode, torch.add, (total, part), {})
        )
    assert total is not None
    return total
