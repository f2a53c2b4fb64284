"""An example batch, as the test pipeline of a config makes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DATASETS, init_default_scope

from ...calibration import ConfigError
from .scopes import type_name

#: Height and width of an image that stands for the test data: COCO's usual.
IMAGE = (480, 640)


def example_batch(cfg: Config, shape: tuple[int, int] | None = None) -> dict:
    """A batch of one image, as a model of this config gets it.

    The first image of the test data; where there are none, an image of noise, of the
    size :data:`IMAGE` before the test pipeline.

    Args:
        cfg: The whole config.
        shape: Height and width that the model shall get, of an image of noise.

    Raises:
        ConfigError: If the test pipeline makes no example.
    """
    init_default_scope(cfg.get('default_scope') or 'mmengine')
    steps = [step for step in test_pipeline(cfg) if not _loads(step)]
    try:
        if shape:  # nothing may resize it: it is only packed
            return _packed(Compose(steps[-1:])(_noise(*shape)))
        return _packed(_first_image(cfg) or Compose(steps)(_noise(*IMAGE)))
    except Exception as error:  # whatever transforms raise
        raise ConfigError(
            'the test pipeline makes no example '
            f'({type(error).__name__}: {error}): name its size with --shape'
        ) from error


def _packed(example: dict) -> dict:
    return pseudo_collate([example])


def _first_image(cfg: Config) -> dict | None:
    """The first of the test data, None where it cannot be read."""
    try:
        return DATASETS.build(cfg.test_dataloader.dataset)[0]
    except Exception:  # whatever data sets raise: an audit needs none
        return None


def _noise(height: int, width: int) -> dict[str, Any]:
    """What a pipeline gets of an image that was loaded."""
    rng = np.random.default_rng(0)
    return dict(
        img=rng.integers(0, 256, (height, width, 3), np.uint8),
        img_id=0,
        img_path='',
        img_shape=(height, width),
        ori_shape=(height, width),
        scale_factor=(1.0, 1.0),
        flip=False,
        flip_direction=None,
    )


def test_pipeline(cfg: Config) -> Sequence[dict]:
    """The steps of the test pipeline of a config.

    Raises:
        ConfigError: If there is none.
    """
    dataset = (cfg.get('test_dataloader') or {}).get('dataset') or {}
    while 'pipeline' not in dataset and 'dataset' in dataset:
        dataset = dataset['dataset']
    pipeline = dataset.get('pipeline') or cfg.get('test_pipeline')
    if not pipeline:
        raise ConfigError('the config has no test pipeline: what would the model get?')
    return pipeline


def _loads(step: dict) -> bool:
    """Whether a step of a pipeline reads files."""
    return type_name(step['type']).rpartition('.')[2].startswith('Load')
