"""From a config file to the model that it builds, with its weights."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.model import is_model_wrapper
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from ...calibration import (
    ConfigError,
)
from ..zoo import how_to_get
from .checkpoints import load_strictly, loading
from .foreign import described, foreign_errors
from .scopes import drop_own_scope

#: The type of a module whose region is quantized, in written configs.
_QUANTIZED = 'iptq_mm.build_quantized'


def read_config(
    path: str | os.PathLike,
    checkpoint: str | None = None,
    options: dict[str, Any] | None = None,
) -> Config:
    """A config with overrides; ``load_from`` names the checkpoint.

    A warning says the new name of a config that has one (``_deprecation_``), be it this
    one or one that it inherits.

    Args:
        path: Config file.
        checkpoint: Becomes ``load_from``; None: that of the config stays, which is
            None where there is none.
        options: Overrides, by dotted key.

    Raises:
        FileNotFoundError: If there is no such config.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'there is no config {path}')
    with warnings.catch_warnings():
        # That a config has a new name is a DeprecationWarning, which Python hides.
        warnings.filterwarnings('always', 'The config file', DeprecationWarning)
        cfg = Config.fromfile(path)
    drop_own_scope(cfg._cfg_dict)
    if options:
        cfg.merge_from_dict(options)
    cfg.load_from = checkpoint or cfg.get('load_from')
    return cfg


def check_checkpoint(cfg: Config, otherwise: str = '') -> None:
    """Find out now whether ``load_from`` names a checkpoint.

    Args:
        cfg: The whole config.
        otherwise: What else the user may do, who named none.

    Raises:
        ConfigError: If it names none.
        FileNotFoundError: If there is no such file.
    """
    checkpoint = cfg.get('load_from')
    if not checkpoint:
        message = 'no checkpoint: name one after the config, or as load_from in it'
        raise ConfigError(f'{message} {otherwise}'.rstrip())
    if '://' not in checkpoint and not Path(checkpoint).is_file():
        how = how_to_get(checkpoint, cfg.filename)
        raise FileNotFoundError(
            f'there is no checkpoint {checkpoint}{how and ": "}{how}'
        )


def is_quantized(node: Any) -> bool:
    """Whether a config, or a part of one, builds quantized modules."""
    if isinstance(node, dict):
        quantized = node.get('type') == _QUANTIZED
        return quantized or any(map(is_quantized, node.values()))
    return isinstance(node, list | tuple) and any(map(is_quantized, node))


def new_model(cfg: Config, scope: str = 'mmengine') -> nn.Module:
    """The model of a config, before it has weights.

    Args:
        cfg: The whole config.
        scope: The default scope of a config that names none.
    """
    init_default_scope(cfg.get('default_scope') or scope)
    model_cfg = cfg.model.copy()
    if cfg.get('data_preprocessor'):
        model_cfg.setdefault('data_preprocessor', cfg.data_preprocessor)
    return MODELS.build(model_cfg)


def build_model(cfg: Config) -> nn.Module:
    """The model of a config with the weights of ``load_from``, in eval mode.

    Args:
        cfg: The whole config.

    Raises:
        ConfigError: If there is no checkpoint, or it does not fit the model.
        FileNotFoundError: If the checkpoint is missing.
    """
    check_checkpoint(cfg)
    what = 'the model of the config cannot be built'
    with foreign_errors(what, 'mend what it names in the config'):
        try:
            model = new_model(cfg)
        except KeyError as error:  # no such type, or back end
            raise ConfigError(f'{what}: {described(error)}') from error
    with loading(cfg.load_from):
        load_strictly(model, cfg.load_from)
    return model.eval()


def load_quantized(
    config: str | os.PathLike,
    checkpoint: str | None = None,
    options: dict[str, Any] | None = None,
) -> tuple[Config, nn.Module]:
    """A quantized model and its config.

    Args:
        config: The config that was written beside the integer checkpoint.
        checkpoint: Its checkpoint; None: ``load_from`` of the config.
        options: Overrides, by dotted key.

    Raises:
        ConfigError: If the config builds no quantized region, or the checkpoint does
            not fit the model.
        FileNotFoundError: If the config or the checkpoint is missing.
    """
    cfg = read_config(config, checkpoint, options)
    if not is_quantized(cfg.get('model')):
        raise ConfigError(
            f'{config} builds no quantized region: quantize it with tools/quantize.py '
            'and name the integer.py and integer.pth that it writes'
        )
    return cfg, build_model(cfg)


def unwrapped(model: nn.Module) -> Any:
    """The model inside a wrapper for distributed runs."""
    return model.module if is_model_wrapper(model) else model
