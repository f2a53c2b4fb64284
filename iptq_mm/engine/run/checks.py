"""Checks of a whole config before a run, so that mistakes cost no hours."""

from __future__ import annotations

import logging
import os

import torch
from mmengine.config import Config
from mmengine.logging import print_log

from ...calibration import ConfigError, QuantizationConfig
from ..export.checkpoint import export_config
from ..export.written import check_readable
from ..loading.backends import check_backend
from ..loading.models import check_checkpoint
from ..quantize.settings import check_names, read_settings


def check_config(
    cfg: Config, name: str | os.PathLike, device: torch.device | None = None
) -> QuantizationConfig:
    """Find what is wrong with a config before hours are spent.

    Args:
        cfg: The whole config.
        name: What messages call it.
        device: Where the model will run; None: a back end is not asked about it.

    Returns:
        Its quantization settings.

    Raises:
        ConfigError: If the config asks for something impossible.
        FileNotFoundError: If there is no such checkpoint.
    """
    check_names(cfg, name)
    for key in ('model', 'test_dataloader', 'test_evaluator'):
        if not cfg.get(key):
            raise ConfigError(f'{name} has no {key}: nothing could be compared')
    if cfg.get('load_from') or not cfg.get('random_weights'):  # which need none
        check_checkpoint(
            cfg, '(random_weights=True in the config quantizes an untrained model)'
        )
    quantization = read_settings(cfg)
    if cfg.get('backend'):
        check_backend(cfg.backend, device)
    for warning in quantization.unusual():
        print_log(f'{name}: {warning}', 'current', logging.WARNING)
    check_readable(
        export_config(cfg, quantization.regions, 'integer.pth', cfg.get('backend'))
    )
    return quantization
