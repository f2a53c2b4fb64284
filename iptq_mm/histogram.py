"""A histogram that does not depend on the order of its values."""

from __future__ import annotations

import math

import torch
from torch import Tensor

#: Bins of a histogram; their indices are ``-BINS // 2 .. BINS // 2 - 1``.
BINS = 4096
# Narrower bins than 2**-100 are of no use. The limit also keeps 2**100, by which values
# are multiplied to get bin indices, inside float32.
_MIN_EXPONENT = -100
# Values that are counted at a time.
_BLOCK = 2**16


class Histogram:
    """Counts in ``BINS`` bins of width ``2**exponent``, symmetric about 0.

    Bin ``i`` holds ``i * width <= x < (i + 1) * width``. When a value falls
    outside, bins are merged in pairs, ``i -> floor(i / 2)``, until it fits. Because
    widths are powers of two, the counts are exactly those that the wider bins would
    have had from the start: the histogram depends only on the set of values.

    Attributes:
        exponent: log2 of the width of a bin, the smallest that fits the data.
        counts: int64 on the CPU, shape (BINS,); index 0 is bin ``-BINS // 2``.
    """

    def __init__(self) -> None:
        self.exponent = _MIN_EXPONENT
        self.counts = torch.zeros(BINS, dtype=torch.int64)

    @property
    def width(self) -> float:
        """Width of a bin, in the unit of the values."""
        return 2.0**self.exponent

    def add(self, x: Tensor, low: float, high: float) -> None:
        """Count values.

        Args:
            x: Finite float32 values, shape (n,).
            low: Their minimum.
            high: Their maximum.
        """
        self._widen(max(_exponent(low, closed=True), _exponent(high, closed=False)))
        # What is made of a block stays in the cache: memory costs time.
        for block in x.split(_BLOCK) if x.device.type == 'cpu' else (x,):
            self.counts += self._counted(block).cpu()

    def _counted(self, x: Tensor) -> Tensor:
        """How many of some values each bin holds."""
        if self.exponent > 0:
            # Scaling a tiny negative value down may underflow to -0 in float32,
            # and floor would move it from bin -1 to bin 0.
            x = x.double()
        index = (x * 2.0**-self.exponent).floor_().add_(BINS // 2)
        # bincount counts in integers, hence exactly, and takes a fifth of the
        # time of histc; of 16 bits, half of that of 32.
        return torch.bincount(index.to(torch.int16), minlength=BINS)

    def merge(self, other: Histogram) -> None:
        """Add the counts of ``other``, in place and exactly."""
        self._widen(other.exponent)
        self.counts += _merged(other.counts, self.exponent - other.exponent)

    def bins(self) -> tuple[Tensor, Tensor, Tensor]:
        """Lower edges, upper edges and counts of the non-empty bins.

        Returns:
            Three float64 tensors of shape (n,), in rising order.
        """
        index = self.counts.nonzero().flatten()
        lower = (index - BINS // 2).double() * self.width
        return lower, lower + self.width, self.counts[index].double()

    def _widen(self, exponent: int) -> None:
        if exponent > self.exponent:
            self.counts = _merged(self.counts, exponent - self.exponent)
            self.exponent = exponent


def _exponent(value: float, closed: bool) -> int:
    """The smallest exponent of a bin width at which ``value`` has a bin.

    Args:
        value: A finite number.
        closed: Whether the magnitude ``BINS // 2 * width`` itself has a bin:
            only the one on the negative side has.
    """
    magnitude = -value if closed else value
    if magnitude <= 0:
        return _MIN_EXPONENT
    mantissa, exponent = math.frexp(magnitude)  # magnitude < 2**exponent
    if closed and mantissa == 0.5:  # a power of two, 2**(exponent - 1)
        exponent -= 1
    return max(exponent - (BINS // 2).bit_length() + 1, _MIN_EXPONENT)


def _merged(counts: Tensor, doublings: int) -> Tensor:
    """Counts in bins ``2**doublings`` times as wide."""
    index = (torch.arange(BINS) - BINS // 2) >> min(doublings, 62)
    return torch.zeros_like(counts).index_add_(0, index + BINS // 2, counts)
