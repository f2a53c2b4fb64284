"""The full range."""

from __future__ import annotations

from torch import Tensor

from ...registry import OBSERVERS
from .base import Observer
from .samples import Samples


@OBSERVERS.register_module('minmax')
class MinMaxObserver(Observer):
    """Covers every value that was seen; one outlier decides the scale.

    Args:
        room: The range is so many times that of the values, for what calibration did
            not see. A factor of 2 costs one bit.

    Raises:
        ValueError: If ``room`` is below 1.
    """

    def __init__(self, room: float = 1.0) -> None:
        if not room >= 1:
            raise ValueError(f'room={room}: use 1 or more')
        self._room = room

    def search(
        self, samples: Samples, bits: int, symmetric: bool
    ) -> tuple[Tensor, Tensor]:
        """The smallest and the largest value of each row, with room beyond them."""
        return samples.minimum * self._room, samples.maximum * self._room
