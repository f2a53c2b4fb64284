"""Losses that tell photographs from noise, as a transformer sees them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# Pairs grow with the square of the tokens, and a sample of them has the same density.
_MOST_TOKENS = 64
_GRID_POINTS = 64


def patch_similarity_entropy(tokens: Tensor) -> Tensor:
    """Differential entropy of the cosine similarities between patches.

    Attention answers the patches of noise much alike; in a photograph it tells
    foreground from background, and similarities spread (PSAQ-ViT, Li et al., 2022,
    arXiv 2203.02250, patch similarity metric).

    Args:
        tokens: (N, L, C), what a layer makes of the L patches of each of N images.
            Of more than 64 patches an even choice is compared.

    Returns:
        (N,), in nats; 0 where there is one patch only.
    """
    length = tokens.shape[1]
    if length < 2:
        return tokens.new_zeros(len(tokens))
    chosen = torch.linspace(0, length - 1, min(length, _MOST_TOKENS)).long()
    directions = F.normalize(tokens[:, chosen.to(tokens.device)].float(), dim=-1)
    similarity = directions @ directions.mT
    row, column = torch.triu_indices(len(chosen), len(chosen), 1, device=tokens.device)
    return differential_entropy(similarity[:, row, column])


def differential_entropy(values: Tensor, bandwidth: float = 0.05) -> Tensor:
    """Estimate ``-integral f(x) log f(x) dx`` of the density that values come from.

    The density is ``f(x) = 1/M sum_m K((x - x_m) / h) / h``, where K is the normal
    one and h the bandwidth.

    Args:
        values: (..., M), -1 to 1.
        bandwidth: h. Points of the integral are less than this apart.

    Returns:
        (...), in nats.
    """
    end = 1 + 3 * bandwidth
    grid = torch.linspace(-end, end, _GRID_POINTS, device=values.device)
    distance = (grid[:, None] - values[..., None, :]) / bandwidth
    kernel = torch.exp(-distance.square() / 2) / (2 * torch.pi) ** 0.5
    # The logarithm has no derivative at 0.
    density = (kernel.mean(-1) / bandwidth).clamp_min(1e-9)
    return -torch.trapezoid(density * density.log(), grid)


def total_variation(images: Tensor) -> Tensor:
    """Mean length of the gradient of neighbouring pixels (Rudin et al., 1992).

    Args:
        images: (..., H, W).

    Returns:
        A scalar.
    """
    corner = images[..., :-1, :-1]
    down, right = images[..., 1:, :-1] - corner, images[..., :-1, 1:] - corner
    # The square root has no derivative at 0, where neighbours are equal.
    return (down.square() + right.square() + 1e-5).sqrt().mean()
