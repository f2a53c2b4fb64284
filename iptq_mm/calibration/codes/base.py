"""The interface of codes, which choose the levels of a value of few bits."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace

from ...intmath import QParams
from ...statistics import Statistics
from .mass import Mass

#: Bits of the integers that codes stand for: those that products take.
GRID_BITS = 8
#: Where values may be clipped, as shares of their largest magnitude.
SHARES = tuple(0.8**i for i in range(10))
#: With less of the range, the error falls and then rises: where it is so many times the
#: least, the search ends.
_ENOUGH = 1.5
#: Clipping at 0.8 of a range has to save a fifth of the error, and so on: what is
#: clipped lies in the same rows and channels, and its errors do not average out.
_RELUCTANCE = 1.0


class Codes(ABC):
    """Chooses levels on a grid of 8 bits; registers in ``CODES``.

    The squared error of the values that calibration saw decides both where they are
    clipped and which levels there are; the observer of the config has no say.
    """

    def qparams(self, seen: Statistics, bits: int, symmetric: bool) -> QParams:
        """The quantizer of a value, with at most ``2**bits`` levels.

        Args:
            seen: Statistics of the value.
            bits: Bits of a code, fewer than ``GRID_BITS``.
            symmetric: Whether the grid is symmetric.
        """
        best, least = None, math.inf
        for share in SHARES:
            grid = _grid(seen, share, symmetric)
            mass = Mass(seen, grid)
            worse = share**-_RELUCTANCE
            errors = {c: mass.error(c) * worse for c in self.choices(mass, 2**bits)}
            levels = min(errors, key=errors.__getitem__)
            if errors[levels] < least:
                best, least = replace(grid, levels=levels), errors[levels]
            elif errors[levels] > _ENOUGH * least:
                break
        assert best is not None
        return best

    @abstractmethod
    def choices(self, mass: Mass, count: int) -> Iterator[tuple[int, ...]]:
        """Levels to compare, in rising order and 0 among them.

        Args:
            mass: The values, on a grid.
            count: The most levels there may be.
        """


def _grid(seen: Statistics, share: float, symmetric: bool) -> QParams:
    """All integers that levels may be, where values are clipped at a share."""
    limit = share * max(-seen.minimum, seen.maximum)
    if symmetric:
        return QParams.symmetric(limit, GRID_BITS)
    low, high = max(seen.minimum, -limit), min(seen.maximum, limit)
    return QParams.asymmetric(low, high, GRID_BITS)
