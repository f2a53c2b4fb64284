"""Massive results of GELU that cancel out.

``gelu(z) - gelu(-z) = z`` for every z, so two neurons make a linear function of what
the LayerNorm before them returns. Two such pairs, one with large activations and small
weights after them, one with ordinary activations, add the same function and its
negative. In floats nothing remains. The direction that they read is one in which few
tokens are far from the others: the large activations are rare. A range that covers
them is too coarse for the other neurons; one that does not clips what should cancel.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from .channels import first, second


@torch.no_grad()
def massive_hidden(
    vit: nn.Module, images: Iterable[Tensor], factor: float, seed: int = 0
) -> None:
    """Add four neurons to the FFNs of two blocks, in place.

    Args:
        vit: A ``VisionTransformer`` of mmpretrain.
        images: Normalized, shape (B, 3, H, W).
        factor: The largest activation, relative to the 99.9th percentile of the others.
        seed: Chooses the direction that the neurons write.
    """
    generator = torch.Generator().manual_seed(seed)
    count = len(vit.layers)
    blocks = [vit.layers[i] for i in sorted({count // 2, 3 * count // 4})]
    seen: dict[nn.Module, list[Tensor]] = {}

    def see(module: nn.Module, args: tuple) -> None:
        seen.setdefault(module, []).append(args[0].double().flatten(0, -2))

    watched = [m for b in blocks for m in (first(b.ffn), second(b.ffn), b.ln2)]
    handles = [module.register_forward_pre_hook(see) for module in watched]
    try:
        for batch in images:
            vit(batch)
    finally:
        for handle in handles:
            handle.remove()
    for block in blocks:
        inputs, hidden, rows = (
            torch.cat(seen[m]) for m in (first(block.ffn), second(block.ffn), block.ln2)
        )
        ordinary = float(hidden.flatten().sort().values[int(0.999 * hidden.numel())])
        direction = rarest(inputs)
        direction *= ordinary / float((inputs @ direction).abs().max())
        rows = rows - rows.mean(1, keepdim=True)
        written = torch.randn(rows.shape[1], generator=generator, dtype=torch.float64)
        written *= float(rows.norm(dim=1).median()) / (written.norm() * ordinary)
        _widen(block.ffn, direction, written, factor)


def rarest(rows: Tensor) -> Tensor:
    """The principal direction whose largest value is farthest from the usual one.

    Args:
        rows: Shape (N, C).

    Returns:
        Shape (C,), of length 1.
    """
    vectors = torch.linalg.eigh(rows.T @ rows).eigenvectors
    values = (rows @ vectors).abs()
    usual = values.square().mean(0).sqrt().clamp_min(1e-9)
    return vectors[:, (values.amax(0) / usual).argmax()].clone()


def _widen(ffn: nn.Module, read: Tensor, written: Tensor, factor: float) -> None:
    """Add the two pairs to an FFN."""
    before, after = first(ffn), second(ffn)
    rows = torch.stack([factor * read, -factor * read, read, -read])
    large = written / factor
    columns = torch.stack([large, -large, -written, written], 1)
    wider = nn.Linear(before.in_features, before.out_features + 4)
    wider.weight.copy_(torch.cat([before.weight.double(), rows]).float())
    wider.bias.copy_(torch.cat([before.bias, before.bias.new_zeros(4)]))
    reading = nn.Linear(after.in_features + 4, after.out_features)
    reading.weight.copy_(torch.cat([after.weight.double(), columns], 1).float())
    reading.bias.copy_(after.bias)
    ffn.layers[0][0], ffn.layers[1] = wider, reading
