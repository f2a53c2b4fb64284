"""The integer weights of the channel that marks padded pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from ...modes.region import PIXELS
from ...pixels import MARK, Pixels
from ...record import RegionRecord


def marked_layer(record: RegionRecord, pixels: Pixels | None) -> tuple[str, str]:
    """Names of the weight with the channel for marks and of its bias, or empty."""
    if pixels is not None and pixels.marked:
        for site, _ in record.consumers().get(PIXELS, []):
            _, weight, bias = (
                str(name).removeprefix('parameter:') for name in record.sources[site]
            )
            return weight, bias
    return '', ''


def with_exact_marks(
    codes: Tensor,
    scale: Tensor,
    weight: Tensor,
    bound: int,
    pixels: Pixels,
    lost: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Let padding make 0.0 of the rounded weights, not of the real ones.

    The errors of rounding would do as much as those of any image, where nothing but
    the bias should be left, and a LayerNorm may make much of it.

    Args:
        codes: Integers of the weight, shape (n, C + 1, kh, kw).
        scale: By output channel.
        weight: The real weight.
        bound: Largest magnitude of an integer.
        pixels: How images were normalized.
        lost: What the bias gets to correct the mean, shape (n,).

    Returns:
        The integers, those of the last channel made anew. And what is to be added to
        the bias, so that a window of nothing but padding makes what the real bias was:
        half of :data:`~iptq_mm.pixels.MARK` steps of the accumulator at most, unless
        few bits leave no room for the marks. Float64, shape (n,).
    """
    zero = torch.tensor(pixels.zero_point, dtype=torch.float64).view(1, -1, 1, 1)
    made = codes.double().cpu()
    real = (weight.double().cpu() * zero).sum(1).flatten(1)
    if lost is not None:
        real = real - lost.double().cpu()[:, None] / real.shape[1]
    scale = scale.double().cpu()[:, None]
    wanted = real / scale
    wanted -= (made * zero)[:, :-1].sum(1).flatten(1)
    # Each place of the window makes up for what the ones before it left.
    steps = (wanted / MARK).cumsum(1).round()
    marks = steps.diff(dim=1, prepend=steps.new_zeros(len(steps), 1))
    made[:, -1] = marks.clamp(-bound, bound).view(made[:, -1].shape)
    rest = (real - (made * zero).sum(1).flatten(1) * scale).sum(1)
    return made.to(codes.dtype).to(codes.device), rest
