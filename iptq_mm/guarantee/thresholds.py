"""From which margin on an answer needs no second look, with a guarantee.

Learn then test (Angelopoulos et al., arXiv 2110.01052): each threshold of a grid that
was fixed before any image was seen is a hypothesis, "more than e of all images have an
answer that differs in spite of it". The hypotheses are tested in a fixed sequence, from
the largest threshold, with which every image is flagged, down to the first that cannot
be rejected. Each test has the whole error probability, and still all rejections are
right with this confidence. So any threshold among them may be taken, for whatever
reason.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .answers import Answers
from .bounds import tail

#: Thresholds of the grid in a doubling.
_STEPS = 8


def threshold_grid(largest: int) -> list[int]:
    """Thresholds from 0 to one that every margin is below, ascending.

    Args:
        largest: Largest possible margin; the grid depends on nothing else.

    Example::

        >>> threshold_grid(20)
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 17, 19, 21]
    """
    steps = range(_STEPS * max(largest, 1).bit_length())
    grid = {round(2 ** (i / _STEPS)) for i in steps}
    return sorted({0, largest + 1, *(t for t in grid if t <= largest)})


def failures(answers: Answers, threshold: int, guarded: bool) -> Tensor:
    """Which images have a final answer that differs from float, bool.

    Args:
        answers: The images.
        threshold: Smaller margins are flagged.
        guarded: Whether the wider model answers flagged images; False: what is flagged
            is no final answer.
    """
    flagged = answers.margins < threshold
    differ = answers.differ & ~flagged
    return differ | (answers.wide_differs & flagged) if guarded else differ


def certified_from(
    answers: Answers,
    grid: Sequence[int],
    agreement: float,
    confidence: float,
    guarded: bool = False,
) -> int | None:
    """The smallest threshold for which the agreement is certain enough.

    The statement holds for it and for every larger one of the grid at once.

    Args:
        answers: Of held-out images.
        grid: Thresholds, ascending, none of which was chosen by these images.
        agreement: Share of images whose final answer shall not differ.
        confidence: Probability with which it shall be so.
        guarded: See :func:`failures`.

    Returns:
        The threshold; None if not even the largest one will do.
    """
    smallest = None
    for threshold in reversed(grid):
        count = int(failures(answers, threshold, guarded).sum())
        if tail(count, len(answers), 1 - agreement) > 1 - confidence:
            break
        smallest = threshold
    return smallest


def estimated_from(answers: Answers, grid: Sequence[int], agreement: float) -> int:
    """The smallest threshold with which an estimate says this agreement.

    It pairs the margin of each image with the error of each other one, as if they had
    nothing to do with one another. So rates far below one image in all can be
    estimated. It is an estimate and no guarantee.

    Args:
        answers: Of held-out images.
        grid: Thresholds, ascending.
        agreement: Share of images that shall not both differ and be above.
    """
    margins, errors = answers.margins.sort().values, answers.errors.sort().values
    # How many images have an error above each margin: float has another order then.
    above = len(errors) - torch.searchsorted(errors, margins, right=True)
    allowed = (1 - agreement) * len(answers) ** 2
    sums = torch.cat([above.flip(0).cumsum(0).flip(0), above.new_zeros(1)])
    for threshold in grid:
        first = int(torch.searchsorted(margins, threshold))
        if float(sums[first]) <= allowed:
            return threshold
    return grid[-1]
