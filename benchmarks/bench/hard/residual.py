"""Residual streams with channels and tokens that are far larger than the others.

Every reader of the residual stream of a pre-norm transformer is a LayerNorm. It takes
out the mean of a row, so a row may be moved by any number, and it divides by the norm
of what is left, so rows may be rotated, if the rotation leaves (1, ..., 1) where it is:
``LN(Q x) = Q LN(x)``. The rotation moves into the layers that write the stream and,
inverted, into those that read the LayerNorm, whose own affine part moves there first.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from .channels import first, second


@torch.no_grad()
def gathered(vit: nn.Module, images: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Second moments of the centred, normalized residual rows, and their largest norm.

    Args:
        vit: A ``VisionTransformer`` of mmpretrain.
        images: Normalized, shape (B, 3, H, W).

    Returns:
        Shape (C, C), float64, over the inputs of all blocks; and the root mean square
        of a row of the first block's input.
    """
    dims = vit.embed_dims
    moments, powers = torch.zeros(dims, dims, dtype=torch.float64), []

    def see(_: nn.Module, args: tuple) -> None:
        x = args[0].double().reshape(-1, dims)
        x = x - x.mean(1, keepdim=True)
        powers.append(x.square().mean())
        x = x / x.norm(dim=1, keepdim=True).clamp_min(1e-12)
        moments.addmm_(x.T, x)

    handles = [block.register_forward_pre_hook(see) for block in vit.layers]
    try:
        for batch in images:
            vit(batch)
    finally:
        for handle in handles:
            handle.remove()
    return moments, powers[0].sqrt()


def concentrating(moments: Tensor, seed: int = 0) -> Tensor:
    """The rotation that gives each principal direction a channel of its own.

    Args:
        moments: From :func:`gathered`.
        seed: Chooses the order of the channels.

    Returns:
        Orthogonal, shape (C, C), float64; (1, ..., 1) stays where it is.
    """
    dims = len(moments)
    ones = torch.full((dims, 1), dims**-0.5, dtype=torch.float64)
    centre = torch.eye(dims, dtype=torch.float64) - ones @ ones.T
    # The direction of the ones comes last: its moment is 0.
    vectors = torch.linalg.eigh(moments - ones @ ones.T).eigenvectors.flip(1)[:, :-1]
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(dims, generator=generator)[:-1]
    targets = torch.linalg.qr(centre[:, order]).Q
    return targets @ vectors.T + ones @ ones.T


@torch.no_grad()
def rotate(vit: nn.Module, head: nn.Linear, rotation: Tensor) -> None:
    """Rotate the residual stream of a ViT, in place.

    Args:
        vit: A ``VisionTransformer`` of mmpretrain with its final norm.
        head: The layer that reads it.
        rotation: From :func:`concentrating`.
    """
    for block in vit.layers:
        for norm, layer in ((block.ln1, block.attn.qkv), (block.ln2, first(block.ffn))):
            _absorb(norm, layer, rotation)
        for layer in (block.attn.proj, second(block.ffn)):
            layer.weight.copy_((rotation @ layer.weight.double()).float())
            layer.bias.copy_((rotation @ layer.bias.double()).float())
    _absorb(vit.ln1, head, rotation)
    patches = vit.patch_embed.projection
    rows = rotation @ patches.weight.double().flatten(1)
    patches.weight.copy_(rows.view_as(patches.weight).float())
    patches.bias.copy_((rotation @ patches.bias.double()).float())
    for embedding in (vit.cls_token, vit.pos_embed):
        embedding.copy_((embedding.double() @ rotation.T).float())


def _absorb(norm: nn.LayerNorm, layer: nn.Linear, rotation: Tensor) -> None:
    """Move the affine part of a LayerNorm and the inverse rotation into a layer."""
    weight = layer.weight.double()
    layer.bias.add_((weight @ norm.bias.double()).float())
    layer.weight.copy_((weight * norm.weight.double() @ rotation.T).float())
    norm.weight.fill_(1.0)
    norm.bias.fill_(0.0)


@torch.no_grad()
def massive_tokens(vit: nn.Module, size: float, tokens: int = 2, seed: int = 0) -> None:
    """Move the rows of some tokens by a large number in all channels, in place.

    Args:
        vit: A ``VisionTransformer`` of mmpretrain.
        size: That number.
        tokens: How many; the class token is one.
        seed: Chooses the others.
    """
    count = vit.pos_embed.shape[1]
    generator = torch.Generator().manual_seed(seed)
    others = 1 + torch.randperm(count - 1, generator=generator)[: tokens - 1]
    vit.pos_embed[:, torch.tensor([0, *others.tolist()])] += size
