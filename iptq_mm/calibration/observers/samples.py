"""Weighted values by row: what observers look at.

The same observers serve activations, of which calibration keeps a histogram,
and weights, which are at hand. :class:`Samples` is what both have in common.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...statistics import Statistics


@dataclass
class Samples:
    """Weighted values in independent rows: one for a site, one an out channel.

    Attributes:
        lower: Lower edges of bins, shape (rows, n), float.
        upper: Upper edges, same shape; ``lower`` itself where values are exact.
        weights: Values in each bin, shape (rows, n), or None: one each.
        minimum: Smallest value of each row, float64, shape (rows,).
        maximum: Largest value of each row, float64, shape (rows,).
        width: Width of the bins before clipping to the range; 0 where exact.
        extremes: (minimum, maximum) by call of calibration, float64, shape
            (calls, 2), or None for weights.
    """

    lower: Tensor
    upper: Tensor
    weights: Tensor | None
    minimum: Tensor
    maximum: Tensor
    width: float = 0.0
    extremes: Tensor | None = None

    @property
    def values(self) -> Tensor:
        """Middles of the bins, shape (rows, n)."""
        return (self.lower + self.upper) / 2 if self.width else self.lower

    @classmethod
    def from_statistics(cls, statistics: Statistics) -> Samples:
        """One row: the histogram of a site.

        Raises:
            ValueError: If the site has seen no value.
        """
        if not statistics.count:
            raise ValueError(
                'a site without data has no range: did calibration see any image, '
                'and does every image reach this site?'
            )
        lower, upper, counts = (t[None] for t in statistics.bins())
        return cls(
            lower,
            upper,
            counts,
            torch.tensor([statistics.minimum], dtype=torch.float64),
            torch.tensor([statistics.maximum], dtype=torch.float64),
            statistics.histogram.width,
            torch.tensor(statistics.extremes, dtype=torch.float64),
        )

    @classmethod
    def from_weight(cls, weight: Tensor) -> Samples:
        """One row for each output channel (dimension 0) of a weight.

        Raises:
            ValueError: If a weight is NaN or infinite.
        """
        rows = weight.detach().to(torch.float32).reshape(weight.shape[0], -1)
        minimum, maximum = rows.amin(1).double(), rows.amax(1).double()
        if not (minimum.isfinite() & maximum.isfinite()).all():
            raise ValueError(
                'a weight has NaN or infinite values: check the checkpoint'
            )
        return cls(rows, rows, None, minimum, maximum)


def quantizers(
    low: Tensor, high: Tensor, bits: int, symmetric: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """``QParams.symmetric`` and ``QParams.asymmetric`` for all rows at once.

    Args:
        low: At most 0, float64, shape (rows,).
        high: At least 0, float64, shape (rows,).
        bits: Bits of a code.
        symmetric: Which of the two.

    Returns:
        Scales (values of float32), qmin and qmax: float64, shape (rows,).
    """
    if symmetric:
        qmax = 2 ** (bits - 1) - 1
        scale = (high.clamp(min=1e-12) / qmax).float().double()
        bound = torch.full_like(scale, qmax)
        return scale, -bound, bound
    steps = 2**bits - 1
    scale = ((high - low).clamp(min=1e-12) / steps).float().double()
    qmin = -(-low / scale).round().clamp(max=steps)
    return scale, qmin, qmin + steps
