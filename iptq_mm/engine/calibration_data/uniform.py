"""Images that show nothing, or all the same: no ranges can be learned from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor


class UniformImages:
    """Counts images of one single value, and images equal to the first one.

    Attributes:
        images: How many were looked at.
        plain: How many of them have one single value.
        equal: How many are equal to the first one.
    """

    def __init__(self) -> None:
        self.images = self.plain = self.equal = 0
        self._first: Tensor | None = None

    def look(self, batch: Any) -> None:
        """Count the images of a batch, before any preprocessor."""
        for image in _images(batch):
            if self._first is None:
                self._first = image.clone()
            self.images += 1
            self.plain += bool(torch.all(image == image.flatten()[0]))
            same = image.dtype == self._first.dtype
            self.equal += same and torch.equal(image, self._first)

    def warning(self) -> str:
        """What is wrong with the images seen, or an empty string."""
        if 2 * self.plain >= self.images > 0:
            return (
                f'calibration: {self.plain} of {self.images} images have one single '
                'value (black ones?), which shows nothing of the ranges of real ones: '
                'look at the data set and its pipeline'
            )
        if self.equal == self.images > 1:
            return (
                f'calibration: all {self.images} images are one and the same: look at '
                'the data set and its pipeline'
            )
        return ''


def _images(batch: Any) -> Iterator[Tensor]:
    inputs = batch.get('inputs') if isinstance(batch, Mapping) else None
    for image in inputs if isinstance(inputs, Tensor | list | tuple) else ():
        if isinstance(image, Tensor) and image.numel():
            yield image
