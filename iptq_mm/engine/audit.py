"""One command from a config to the audit of its model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DATASETS, init_default_scope
from mmengine.runner import set_random_seed

from ..calibration import ConfigError
from ..program.audit import ModelAudit, audit_model
from .calibration_data import build_calibration_dataloader
from .checks import check_config
from .export import type_name
from .loading import build_model, is_quantized, new_model, read_config
from .quantize import quantize_model

#: Height and width of an image that stands for the test data: COCO's usual.
IMAGE = (480, 640)


def audit_config(
    config: str | os.PathLike,
    checkpoint: str | None = None,
    *,
    shape: tuple[int, int] | None = None,
    cfg_options: dict[str, Any] | None = None,
) -> ModelAudit:
    """Audit the model of a config.

    Args:
        config: A config that was written beside an integer checkpoint; or one of a
            float model, which is quantized first, without evaluating it.
        checkpoint: Its checkpoint; None: ``load_from`` of the config.
        shape: Height and width of the image that the model gets; None: as the test
            pipeline of the config makes them.
        cfg_options: Overrides, by dotted key.

    Raises:
        ConfigError: If the config asks for something impossible.
        FileNotFoundError: If the config or the checkpoint is missing.
    """
    cfg = read_config(config, checkpoint, cfg_options)
    quantized = is_quantized(cfg.get('model'))
    model: Any = build_model(cfg) if quantized else quantized_model(cfg, config)
    batch = example_batch(cfg, shape)
    for module in model.modules():
        _let_all_pass(getattr(module, 'test_cfg', None))
    return audit_model(model, lambda: model.test_step(batch))


def quantized_model(cfg: Config, name: str | os.PathLike) -> Any:
    """Quantize the model of a config, as ``tools/quantize.py`` does; write nothing.

    Args:
        cfg: The whole config, of a float model.
        name: What messages call it.

    Raises:
        ConfigError: If the config asks for something impossible.
        FileNotFoundError: If the checkpoint is missing.
    """
    settings = check_config(cfg, name)
    seed = (cfg.get('randomness') or {}).get('seed') or 0
    model = build_model(cfg) if cfg.load_from else _random_model(cfg, seed)
    quantize_model(model, settings, build_calibration_dataloader(cfg, settings, seed))
    return model


def _random_model(cfg: Config, seed: int) -> Any:
    """The model with the weights that a training would begin with."""
    set_random_seed(seed)
    model: Any = new_model(cfg)
    for module in model.modules():
        init = getattr(module, 'init_cfg', None)
        if isinstance(init, dict) and init.get('type') == 'Pretrained':
            module.init_cfg = None  # nothing shall be fetched
    model.init_weights()
    return model.eval()


def _let_all_pass(test_cfg: Any) -> None:
    """Have something found, whatever the image: so that no head is left out."""
    for key, value in test_cfg.items() if isinstance(test_cfg, dict) else ():
        if key == 'score_thr':
            test_cfg[key] = 0.0
        _let_all_pass(value)


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
