"""Calibration images, and the same images mirrored: for those who have few."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.utils.data import Subset

from ...calibration.config import ConfigError
from .reading import CalibrationImages


class WithMirrored(Subset):
    """Images, and behind the last one all of them with left and right exchanged.

    Args:
        images: The images.
    """

    def __init__(self, images: CalibrationImages) -> None:
        super().__init__(images.dataset, [*images.indices, *images.indices])
        self._images = images

    def __getitem__(self, position: Any) -> Any:
        """The sample at a position.

        Raises:
            ConfigError: If its image cannot be read, or is none that can be mirrored.
        """
        repeats, original = divmod(position, len(self._images))
        sample = self._images[original]
        return _mirrored(sample) if repeats else sample

    def __getitems__(self, positions: list[int]) -> list[Any]:
        """The samples at several positions."""
        return [self[position] for position in positions]


def _mirrored(sample: Any) -> Any:
    """A sample whose image is mirrored; its annotations calibrate nothing."""
    image = sample.get('inputs') if isinstance(sample, Mapping) else None
    if not isinstance(image, Tensor) or image.dim() != 3:
        raise ConfigError(
            'quantization.calibration.mirrored needs samples with an image, a tensor '
            "(C, H, W), under 'inputs': set it to False"
        )
    return {**sample, 'inputs': image.flip(-1)}
