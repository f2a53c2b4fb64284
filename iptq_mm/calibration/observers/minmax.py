"""The full range."""

from __future__ import annotations

from torch import Tensor

from ...registry import OBSERVERS
from .base import Observer
from .samples import Samples


@OBSERVERS.register_module('minmax')
class MinMaxObserver(Observer):
    """Covers every value that was seen; one outlier decides the scale."""

    def search(
        self, samples: Samples, bits: int, symmetric: bool
    ) -> tuple[Tensor, Tensor]:
        """The smallest and the largest value of each row."""
        return samples.minimum, samples.maximum
