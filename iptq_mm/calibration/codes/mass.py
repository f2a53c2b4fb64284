"""How much error levels make, of any number of values in a moment."""

from __future__ import annotations

import torch
from torch import Tensor

from ...intmath import QParams
from ...intmath.levels import level_table
from ...statistics import Statistics

#: Points that stand for the values of a bin of a histogram.
_POINTS = 8


class Mass:
    """The values of a histogram on a grid: number, sum and sum of squares by integer.

    The squared error of the values of integer ``q`` for a level ``l`` is ``squares[q]
    - 2 l sums[q] + l^2 counts[q]``.

    Args:
        seen: Statistics of the values.
        grid: The grid.

    Attributes:
        qmin: Smallest integer of the grid; that of the first entry of the sums.
        qmax: Largest integer.
        scale: Real value of the integer 1.
        sums: Moments 0 to 2 of the values over ``scale``, float64, shape
            (3, qmax - qmin + 1). An integer has the values that are rounded to it;
            those beyond the grid belong to its ends.
    """

    def __init__(self, seen: Statistics, grid: QParams) -> None:
        self.qmin, self.qmax, self.scale = grid.qmin, grid.qmax, grid.scale
        lower, upper, counts = seen.bins()
        shares = (torch.arange(_POINTS, dtype=torch.float64) + 0.5) / _POINTS
        points = (lower[:, None] + (upper - lower)[:, None] * shares) / grid.scale
        index = points.round().clamp(grid.qmin, grid.qmax).long() - grid.qmin
        weights = (counts / _POINTS)[:, None].expand_as(points)
        self.sums = torch.zeros(3, grid.qmax - grid.qmin + 1, dtype=torch.float64)
        for power, sums in enumerate(self.sums):
            sums.index_add_(0, index.flatten(), (weights * points**power).flatten())

    def error(self, levels: tuple[int, ...]) -> float:
        """The sum of squared errors with these levels."""
        level = level_table(levels, self.qmin, self.qmax).double()
        return float(squared_error(self.sums, level).sum()) * self.scale**2


def squared_error(sums: Tensor, level: Tensor) -> Tensor:
    """The squared error of values, of which moments are known, for a level.

    Args:
        sums: Moments 0 to 2, shape (3, ...).
        level: The level, broadcasts to a moment.
    """
    counts, first, second = sums
    return second - 2 * level * first + level**2 * counts
