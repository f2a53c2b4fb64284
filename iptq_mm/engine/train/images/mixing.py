"""Images of a batch mixed with each other: more views of few images."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ....calibration import ConfigError


class Mixing:
    """mmpretrain's batch augmentations (Mixup, CutMix, ...) of images without labels.

    They mix labels as they mix images; here the float model says what a mixed image
    shows (Beyer et al., "Knowledge distillation: a good teacher is patient and
    consistent", arXiv 2106.05237). One of the augmentations is drawn for each batch.

    Args:
        augments: Registry dicts of ``mmpretrain.registry.BATCH_AUGMENTS``.

    Raises:
        ConfigError: If mmpretrain is missing, or there is no such augmentation.
    """

    def __init__(self, augments: Sequence[dict[str, Any]]) -> None:
        self._augments = [_built(augment) for augment in augments]

    def __call__(self, images: Tensor) -> Tensor:
        """Images mixed with each other.

        Args:
            images: Preprocessed images, (N, C, H, W).
        """
        if not self._augments:
            return images
        scores = images.new_zeros((len(images), 1))
        mixed: Tensor = random.choice(self._augments)(images, scores)[0]
        return mixed


def _built(augment: dict[str, Any]) -> Any:
    try:
        from mmpretrain.registry import BATCH_AUGMENTS
    except ImportError as error:
        raise ConfigError(
            f'qat.mix: the augmentations of batches are those of mmpretrain, which '
            f'cannot be imported ({error}): install it, or take qat.mix out'
        ) from None
    try:
        return BATCH_AUGMENTS.build(augment)
    except (AssertionError, KeyError, TypeError) as error:
        raise ConfigError(f'qat.mix: {augment} cannot be built: {error}') from None
