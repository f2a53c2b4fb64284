"""The images of a test set, in the place of those that a config evaluates."""

from __future__ import annotations

from typing import Any

from mmengine.config import Config

from ...calibration import ConfigError
from ..loading.models import read_config


def with_data(
    cfg: Config, data: str, cfg_options: dict[str, Any] | None = None
) -> None:
    """Let a config test other images.

    Args:
        cfg: The whole config; its ``test_dataloader`` is replaced.
        data: Path of the config with the other ``test_dataloader``. If its data set has
            no pipeline, it gets that of ``cfg``, which belongs to the model.
        cfg_options: Overrides, by dotted key; those of ``test_dataloader`` count for
            the other one.

    Raises:
        ConfigError: If it has none, or there is no pipeline.
        FileNotFoundError: If there is no such config.
    """
    other = read_config(data).get('test_dataloader')
    if not other or not other.get('dataset'):
        raise ConfigError(f'--data {data}: it has no test_dataloader with a dataset')
    own = cfg.get('test_dataloader') or {}
    if not _pipeline(other.dataset):
        pipeline = _pipeline(own.get('dataset') or {}) or cfg.get('test_pipeline')
        if not pipeline:
            raise ConfigError(
                f'--data {data}: neither its data set nor that of the config has a '
                'pipeline'
            )
        _innermost(other.dataset)['pipeline'] = pipeline
    cfg.test_dataloader = {**own, **other}
    options = (cfg_options or {}).items()
    cfg.merge_from_dict(
        {key: v for key, v in options if key.partition('.')[0] == 'test_dataloader'}
    )


def _innermost(dataset: Any) -> Any:
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    return dataset


def _pipeline(dataset: Any) -> Any:
    while 'pipeline' not in dataset and 'dataset' in dataset:
        dataset = dataset['dataset']
    return dataset.get('pipeline')
