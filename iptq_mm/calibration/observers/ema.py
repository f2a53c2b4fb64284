"""Moving averages of the extremes."""

from __future__ import annotations

from torch import Tensor

from ...registry import OBSERVERS
from .base import Observer
from .samples import Samples


@OBSERVERS.register_module('ema')
class EMAObserver(Observer):
    """Averages minimum and maximum over the calls of calibration.

    The first call initializes, then ``old * momentum + new * (1 - momentum)``,
    as in ``QuantAct`` of HAWQ, I-BERT and I-ViT. Weights have no calls: there
    it is min-max. The result depends on the order of the calls and on the
    batch size, unlike that of the other observers.

    Args:
        momentum: Weight of the past, at least 0 and below 1.

    Raises:
        ValueError: If the momentum is out of range.
    """

    def __init__(self, momentum: float = 0.95) -> None:
        if not 0 <= momentum < 1:
            raise ValueError(f'a momentum is in [0, 1), not {momentum}')
        self.momentum = momentum

    def search(
        self, samples: Samples, bits: int, symmetric: bool
    ) -> tuple[Tensor, Tensor]:
        """The two averages."""
        if samples.extremes is None:
            return samples.minimum, samples.maximum
        average = samples.extremes[0]
        for extremes in samples.extremes[1:]:
            average = average * self.momentum + extremes * (1 - self.momentum)
        return average[:1], average[1:]
