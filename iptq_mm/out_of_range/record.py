"""Records of values outside of their range; those of batches and processes merge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .counting import BINS, SLOTS, count_outside

#: Constants of a function that was fitted to calibration data: the smallest and the
#: largest integer of its input for which it was.
FIT_LOW, FIT_HIGH = 'fit_low', 'fit_high'


def fit_name(site: str) -> str:
    """Name in a log of the inputs outside of the range on which a function was fitted.

    Only functions that are fitted to calibration data have one, such as Poly-GELU.
    """
    return f'{site} (fit)'


@dataclass
class OutOfRange:
    """How many values of one quantizer fell outside of its range, and how far.

    Attributes:
        total: Values seen.
        low: Values below the range: ``low[i]`` of them by ``2**i`` to ``2**(i+1) - 1``
            steps of the quantizer. Zeros at the end are left out.
        high: Values above the range, the same way.
        farthest: The largest distance below, and above, in steps; see
            :func:`~.counting.reach` for its limits.
        width: Steps from one end of the range to the other: 255 for 8 bits.
    """

    total: int = 0
    low: list[int] = field(default_factory=list)
    high: list[int] = field(default_factory=list)
    farthest: tuple[int, int] = (0, 0)
    width: int = 0

    @property
    def outside(self) -> int:
        """Number of values outside of the range: these were clipped."""
        return sum(self.low) + sum(self.high)

    @property
    def share(self) -> float:
        """Share of the values outside of the range; 0.0 if none was seen."""
        return self.outside / self.total if self.total else 0.0

    def see(self, x: Tensor, low: int, high: int) -> None:
        """Add integers that are not clamped yet to ``low..high``."""
        counts = torch.zeros(SLOTS, dtype=torch.int64, device=x.device)
        count_outside(x, low, high, counts)
        self.add(counts.tolist(), x.numel(), high - low)

    def add_inside(self, total: int, width: int) -> None:
        """Add values that are known to lie inside the range."""
        self.merge(OutOfRange(total, width=width))

    def add(self, counts: Sequence[int], total: int, width: int) -> None:
        """Add what :func:`~.counting.count_outside` counted.

        Args:
            counts: The counts.
            total: Number of the values.
            width: Steps from one end of the range to the other.
        """
        below, above = counts[2 * BINS :]
        low, high = list(counts[:BINS]), list(counts[BINS : 2 * BINS])
        self.merge(OutOfRange(total, low, high, (below, above), width))

    def merge(self, other: OutOfRange) -> None:
        """Add the counts of another batch or process, in place."""
        self.total += other.total
        self.low = _sum(self.low, other.low)
        self.high = _sum(self.high, other.high)
        pairs = zip(self.farthest, other.farthest, strict=True)
        below, above = (max(pair) for pair in pairs)
        self.farthest = below, above
        self.width = max(self.width, other.width)

    def to_dict(self) -> dict[str, Any]:
        """A dict of plain types."""
        return {
            'total': self.total,
            'low': list(self.low),
            'high': list(self.high),
            'farthest': list(self.farthest),
            'width': self.width,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> OutOfRange:
        """Inverse of :meth:`to_dict`."""
        below, above = data['farthest']
        low, high = list(data['low']), list(data['high'])
        return cls(data['total'], low, high, (below, above), data['width'])


@dataclass
class OutOfRangeLog:
    """What a region clipped, by quantizer.

    Attributes:
        sites: By name: a site for its output, ``site<-source`` for an operand that the
            site requantizes, ``input:0`` for an input of the region, and
            :func:`fit_name` of a site for the range on which its function was fitted.
        rows: Rows (images, or boxes of a detector's heads) that the region computed.
        counted: Rows of which the values were counted.
    """

    sites: dict[str, OutOfRange] = field(default_factory=dict)
    rows: int = 0
    counted: int = 0

    def at(self, name: str) -> OutOfRange:
        """The record of a name, a new one if need be."""
        return self.sites.setdefault(name, OutOfRange())

    def merge(self, other: OutOfRangeLog) -> None:
        """Add the log of another run or process, in place."""
        for name, seen in other.sites.items():
            self.at(name).merge(seen)
        self.rows += other.rows
        self.counted += other.counted

    def to_dict(self) -> dict[str, Any]:
        """A dict of plain types."""
        return {
            'rows': self.rows,
            'counted': self.counted,
            'sites': {name: seen.to_dict() for name, seen in self.sites.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> OutOfRangeLog:
        """Inverse of :meth:`to_dict`."""
        sites = {n: OutOfRange.from_dict(s) for n, s in data['sites'].items()}
        return cls(sites, data['rows'], data['counted'])


def _sum(some: Sequence[int], others: Sequence[int]) -> list[int]:
    """Sums of two histograms, without the zeros at the end."""
    most = max(len(some), len(others))
    padded = ([*counts, *[0] * (most - len(counts))] for counts in (some, others))
    total = [a + b for a, b in zip(*padded, strict=True)]
    while total and not total[-1]:
        total.pop()
    return total
