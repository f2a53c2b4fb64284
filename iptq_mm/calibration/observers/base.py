"""What every observer offers: the range that a quantizer should cover."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from ...intmath import QParams
from ...statistics import Statistics
from .samples import Samples, quantizers


class Observer(ABC):
    """Chooses what a uniform quantizer covers; registers in ``OBSERVERS``."""

    @abstractmethod
    def search(
        self, samples: Samples, bits: int, symmetric: bool
    ) -> tuple[Tensor, Tensor]:
        """Low and high of each row, float64, shape (rows,).

        :meth:`range` widens them to hold 0 and makes them symmetric.
        """

    def range(
        self, statistics: Statistics | Samples, bits: int, symmetric: bool
    ) -> tuple[Tensor, Tensor]:
        """The range to cover, 0 included.

        Args:
            statistics: Of a site, or weighted samples by row.
            bits: Bits of a code.
            symmetric: Whether the quantizer is.

        Returns:
            ``low <= 0 <= high``, float64, shape (rows,); ``low == -high`` for
            a symmetric quantizer; both 0 only where every value is 0.

        Raises:
            ValueError: If there is no data.
        """
        samples = (
            Samples.from_statistics(statistics)
            if isinstance(statistics, Statistics)
            else statistics
        )
        low, high = self.search(samples, bits, symmetric)
        # Rare values among zeros: a percentile is 0, or somewhere in the bin of
        # 0, which tells nothing. The scale would be one too: keep all.
        empty = torch.maximum(-low, high) <= samples.width
        low = torch.where(empty, samples.minimum, low).clamp(max=0)
        high = torch.where(empty, samples.maximum, high).clamp(min=0)
        if symmetric:
            high = torch.maximum(-low, high)
            low = -high
        return low, high

    def qparams(
        self, statistics: Statistics | Samples, bits: int, symmetric: bool
    ) -> QParams:
        """The quantizer of a site; arguments and errors of :meth:`range`.

        Raises:
            ValueError: Also if there is more than one row.
        """
        low, high = self.range(statistics, bits, symmetric)
        if low.numel() != 1:
            raise ValueError(f'one quantizer cannot serve {low.numel()} rows')
        if symmetric:
            return QParams.symmetric(high.item(), bits)
        return QParams.asymmetric(low.item(), high.item(), bits)

    def scales(self, weight: Tensor, bits: int) -> Tensor:
        """Symmetric scale of each output channel of a weight.

        Args:
            weight: Dimension 0 is the output channel.
            bits: Bits of a code.

        Returns:
            float32, shape (out,), positive (a channel of zeros included).

        Raises:
            ValueError: If a weight is NaN or infinite.
        """
        low, high = self.range(Samples.from_weight(weight), bits, symmetric=True)
        return quantizers(low, high, bits, symmetric=True)[0].float()
