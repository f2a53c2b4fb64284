"""The levels with the least squared error."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ...registry import CODES
from .base import Codes
from .mass import Mass, squared_error


@CODES.register_module('levels')
class OptimalLevels(Codes):
    """Any levels: those with the least squared error that there are.

    What Lloyd (1982) and Max (1960) approach step by step is a shortest path here,
    since levels are integers: from level to level, with the error of the values in
    between as the length of a step. So it is found exactly, by dynamic programming
    (Bruce, "Optimum quantization", 1965).
    """

    def choices(self, mass: Mass, count: int) -> Iterator[tuple[int, ...]]:
        """The best levels."""
        before, between, after = (x.numpy() for x in _lengths(mass))
        best, came_from = before, []
        for _ in range(count - 1):
            lengths = best + between
            index = lengths.argmin(1)  # numpy's takes a tenth of the time of torch's
            best = lengths[range(len(index)), index]
            came_from.append(index)
        path = [int((best + after).argmin())]
        for index in reversed(came_from):
            path.append(int(index[path[-1]]))
        yield tuple(mass.qmin + i for i in reversed(path))


def _lengths(mass: Mass) -> tuple[Tensor, Tensor, Tensor]:
    """Errors of the values before the first level, between two, and from the last on.

    Returns:
        Three float64 tensors, by the index of a level in the grid, of shape (n,),
        (n, n) (the upper of the two first) and (n,). Infinite where levels are not in
        order, or would leave out 0.
    """
    n = mass.sums.shape[1]
    level = torch.arange(n) + mass.qmin
    total = torch.nn.functional.pad(mass.sums.cumsum(1), (1, 0))  # below each index
    index = torch.arange(n)
    left, right = index[None], index[:, None]
    middle = (left + right + 1) // 2  # the first that belongs to the right level
    near_left = squared_error(total[:, middle] - total[:, left], level[left])
    near_right = squared_error(total[:, right] - total[:, middle], level[right])
    zero = -mass.qmin
    impossible = (left >= right) | ((left < zero) & (right > zero))
    between = (near_left + near_right).masked_fill(impossible, torch.inf)
    before = squared_error(total[:, :-1], level).masked_fill(index > zero, torch.inf)
    rest = squared_error(total[:, -1:] - total[:, :-1], level)
    return before, between, rest.masked_fill(index < zero, torch.inf)
