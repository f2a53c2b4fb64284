"""Images whose true rates are known: a margin, and an error of it."""

import torch

from iptq_mm.guarantee import Answers

LARGEST = 4000


def drawn(count: int, generator: torch.Generator, tilted: bool = False) -> Answers:
    """Answers of images; errors are normal, margins exponential.

    Args:
        count: How many.
        generator: Draws them.
        tilted: Whether errors are larger where margins are.
    """
    floats = torch.empty(count).exponential_(1 / 400, generator=generator)
    errors = torch.randn(count, generator=generator) * 25
    if tilted:
        errors *= 1 + floats / 200
    margins = floats + errors
    differ = margins < 0  # the other class is the largest then
    margins = margins.abs().round().long().clamp(max=LARGEST)
    wide = (floats - torch.randn(count, generator=generator).abs() / 2) < 0
    meant = torch.where(differ, -floats, floats).floor().long()
    return Answers(margins, margins - meant, differ, wide)
