"""Training images must not be those that are evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...calibration.config import ConfigError
from .evaluated import EvaluatedImages
from .identity import identified


def refuse_evaluated(dataset: Any, cfg: Mapping[str, Any], config: Any) -> None:
    """Make sure that no image of the evaluation is trained on.

    Looks at every image (microseconds each), as calibration does at those it draws.

    Args:
        dataset: The training dataset, built.
        cfg: Holds the dataloaders of the evaluation.
        config: Of the dataset: equal ones have equal images, whatever their kind.

    Raises:
        ConfigError: If one is; names it.
    """
    evaluated = EvaluatedImages(cfg)
    alike = evaluated.same_config(config)
    shared, first = 0, ''
    for index in range(len(dataset)):
        image = identified(dataset, index)
        key = evaluated.storing(image) or ('' if image.known else alike)
        if key:
            first = first or f'{image.name} ({key})'
            shared += 1
    if shared:
        raise ConfigError(
            f'training would see images of the evaluation: {shared} of {len(dataset)} '
            f'are among them, for instance {first}. The figures would mean nothing: '
            'take another split for train_dataloader'
        )
