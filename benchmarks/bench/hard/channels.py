"""Channels that are scaled where they are made, and scaled back where they are read.

Only what is linear from end to end allows this: the affine part of a LayerNorm and
the layer after it, queries and keys, values and the output projection. Neither side of
a GELU does, nor does a channel of the residual stream: the LayerNorm after it takes
mean and variance of all channels. (``residual.py`` has what a residual stream allows.)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

#: One channel in so many gets a factor.
EVERY = 16


def factors(channels: int, factor: float, generator: torch.Generator) -> Tensor:
    """Ones, and at some channels the factor; float64, shape (channels,)."""
    chosen = torch.randperm(channels, generator=generator)[: max(1, channels // EVERY)]
    found = torch.ones(channels, dtype=torch.float64)
    found[chosen] = factor
    return found


def scale_rows(layer: nn.Linear, by: Tensor, first: int = 0) -> None:
    """Multiply outputs of a layer, those from ``first`` on, in place."""
    rows = slice(first, first + len(by))
    layer.weight[rows] = (layer.weight[rows].double() * by[:, None]).float()
    if layer.bias is not None:
        layer.bias[rows] = (layer.bias[rows].double() * by).float()


def scale_columns(layer: nn.Linear, by: Tensor) -> None:
    """Multiply what a layer does with each input, in place."""
    layer.weight.copy_((layer.weight.double() * by).float())


@torch.no_grad()
def norm_channels(vit: nn.Module, factor: float, seed: int = 0) -> None:
    """Scale outputs of the LayerNorms of a ViT's blocks, in place.

    Args:
        vit: A ``VisionTransformer`` of mmpretrain.
        factor: Of one channel in :data:`EVERY`.
        seed: Chooses the channels.
    """
    generator = torch.Generator().manual_seed(seed)
    for block in vit.layers:
        for norm, layer in ((block.ln1, block.attn.qkv), (block.ln2, first(block.ffn))):
            by = factors(len(norm.weight), factor, generator)
            norm.weight.copy_((norm.weight.double() * by).float())
            norm.bias.copy_((norm.bias.double() * by).float())
            scale_columns(layer, 1 / by)


@torch.no_grad()
def attention_channels(vit: nn.Module, factor: float, seed: int = 0) -> None:
    """Scale queries against keys, and values against the projection, in place.

    Args:
        vit: A ``VisionTransformer`` of mmpretrain.
        factor: Of one channel in :data:`EVERY`.
        seed: Chooses the channels.
    """
    generator = torch.Generator().manual_seed(seed)
    for block in vit.layers:
        qkv, dims = block.attn.qkv, block.attn.proj.in_features
        by = factors(dims, factor, generator)
        scale_rows(qkv, by)
        scale_rows(qkv, 1 / by, dims)
        by = factors(dims, factor, generator)
        scale_rows(qkv, by, 2 * dims)
        scale_columns(block.attn.proj, 1 / by)


def first(ffn: nn.Module) -> nn.Linear:
    """The layer before the GELU of an FFN of mmcv."""
    return ffn.layers[0][0]


def second(ffn: nn.Module) -> nn.Linear:
    """The layer after it."""
    return ffn.layers[1]
