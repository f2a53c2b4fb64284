"""The chosen images, read; broken ones replaced or named."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from mmengine.logging import print_log
from torch.utils.data import Subset

from ...calibration.config import ConfigError
from .identity import identified, name_of
from .wrappers import changed


class BrokenImageError(ConfigError):
    """The pipeline made nothing of an image, as ``ignore_empty=True`` has it."""


class NamingPipeline:
    """A pipeline that says which image it fails on.

    Args:
        pipeline: Makes a sample from an annotation.
    """

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline
        self.transforms = getattr(pipeline, 'transforms', [])

    def __call__(self, annotation: Any) -> Any:
        """The sample of an annotation.

        Raises:
            BrokenImageError: If the pipeline makes none of it; the dataset would take
                any other image, or raise something without a name.
            ConfigError: If it fails.
        """
        name = name_of(annotation)
        sample = _explained(name, self.pipeline, annotation)
        if sample is None:
            raise BrokenImageError(
                f'the image {name} is broken: the pipeline makes nothing of it'
            )
        return sample


def _explained(name: str, read: Any, *arguments: Any) -> Any:
    try:
        return read(*arguments)
    except (ConfigError, MemoryError):
        raise
    except Exception as error:  # whatever transforms and readers of files raise
        raise ConfigError(
            f'the image {name} cannot be read, or its pipeline does not suit it '
            f'({type(error).__name__}: {error})'
        ) from error


class CalibrationImages(Subset):
    """The images that calibrate, in order.

    A broken one that the pipeline skips is replaced, each time by the same other one.

    Args:
        dataset: Where from.
        images: Indices of the images.
        spares: Indices of those that replace broken ones.
    """

    def __init__(
        self, dataset: Any, images: Sequence[int], spares: Sequence[int] = ()
    ) -> None:
        super().__init__(changed(dataset, _name_images), images)
        self.spares = list(spares)
        self._warned = set[int]()

    def __getitem__(self, position: Any) -> Any:
        """The sample at a position.

        Raises:
            ConfigError: If its image cannot be read, or it and all that could replace
                it are broken.
        """
        broken = ''
        spares = self.spares[position :: len(self.indices)]
        # Where there are none, another one of those that calibrate counts twice.
        others = (*self.indices[position + 1 :], *self.indices[:position])
        for index in (self.indices[position], *spares, *others):
            name = f'number {index}'
            try:
                sample = _explained(name, self.dataset.__getitem__, index)
            except BrokenImageError as error:
                broken = str(error)
            else:
                if sample is not None:
                    return sample
                broken = f'the image {identified(self.dataset, index).name} is broken'
            if index not in self._warned:
                self._warned.add(index)
                print_log(f'calibration: {broken}', 'current', logging.WARNING)
        raise ConfigError(f'{broken}, and so are those that could replace it')

    def __getitems__(self, positions: list[int]) -> list[Any]:
        """The samples at several positions."""
        return [self[position] for position in positions]


def _name_images(leaf: Any) -> None:
    pipeline = getattr(leaf, 'pipeline', None)
    if callable(pipeline):
        leaf.pipeline = NamingPipeline(pipeline)
