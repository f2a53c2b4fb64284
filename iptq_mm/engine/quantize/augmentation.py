"""Test-time augmentation: the wrapped model, and the augmented views as batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.model import BaseTTAModel
from torch import nn

from ..calibration_data.loader import CalibrationLoader
from ..loading.models import unwrapped


def inside(model: nn.Module) -> Any:
    """The model inside wrappers for distributed runs and test-time augmentation."""
    model = unwrapped(model)
    return inside(model.module) if isinstance(model, BaseTTAModel) else model


class Views:
    """The batches of a loader, one for each view of its images.

    Where the pipeline is one of test-time augmentation, a batch holds a list of views
    under every key, each of which the model inside gets as a batch of its own.

    Args:
        loader: Of images seen through the test pipeline, which may be another one.
    """

    def __init__(self, loader: CalibrationLoader) -> None:
        self._loader = loader
        values = list(loader.dataset[0].values())
        views = all(isinstance(value, list | tuple) for value in values)
        self._views = len(values[0]) if views else 0

    @property
    def positions(self) -> list[int]:
        """Those of the images, see :class:`CalibrationLoader`."""
        return self._loader.positions

    def only(self, positions: Sequence[int]) -> Views:
        """Batches without all other images."""
        return Views(self._loader.only(positions))

    def first(self) -> Views:
        """The views of the first image."""
        return Views(self._loader.first())

    def __len__(self) -> int:
        return len(self._loader) * max(1, self._views)

    def __iter__(self) -> Iterator[Any]:
        for batch in self._loader:
            if not self._views:
                yield batch
            for view in range(self._views):
                yield {key: values[view] for key, values in batch.items()}
