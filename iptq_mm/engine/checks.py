"""Mistakes in a config, found before hours are spent."""

from __future__ import annotations

import os

from mmengine.config import Config

from ..calibration import ConfigError, QuantizationConfig
from ..program import Session
from .export import region_configs
from .loading import check_checkpoint


def check_config(cfg: Config, name: str | os.PathLike) -> QuantizationConfig:
    """Find what is wrong with a config before hours are spent.

    Args:
        cfg: The whole config.
        name: What messages call it.

    Returns:
        Its quantization settings.

    Raises:
        ConfigError: If the config asks for something impossible.
        FileNotFoundError: If there is no such checkpoint.
    """
    if not cfg.get('quantization'):
        raise ConfigError(
            f'{name} has no quantization dict: inherit one of '
            'configs/_base_/quantization and name quantization.regions'
        )
    for key in ('model', 'test_dataloader', 'test_evaluator'):
        if not cfg.get(key):
            raise ConfigError(f'{name} has no {key}: nothing could be compared')
    if cfg.get('load_from') or not cfg.get('random_weights'):  # which need none
        check_checkpoint(
            cfg, '(random_weights=True in the config quantizes an untrained model)'
        )
    quantization = QuantizationConfig.from_dict(
        cfg.quantization, cfg.get('candidates') or {}
    )
    for region in quantization.regions:
        region_configs(cfg.model, region)
    if cfg.get('backend'):
        check_backend(cfg.backend)
    return quantization


def check_backend(name: str) -> None:
    """Find out now whether a back end can run here.

    Raises:
        ConfigError: If it cannot, or there is none of this name.
    """
    try:
        Session(name).check()
    except (KeyError, RuntimeError) as error:
        raise ConfigError(str(error.args[0])) from error
