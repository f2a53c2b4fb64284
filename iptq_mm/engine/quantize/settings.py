"""The quantization settings in a whole config."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from difflib import SequenceMatcher
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from ...calibration import ConfigError, QuantizationConfig

#: Keys of a config that are read here.
_OURS = ('quantization', 'qat', 'candidates', 'backend', 'random_weights')
_ALIKE = 0.85


def read_settings(
    cfg: Config,
    quantization: Mapping[str, Any] | None = None,
    candidates: Mapping[str, Any] | None = None,
) -> QuantizationConfig:
    """The checked quantization settings of a config.

    Args:
        cfg: The whole config.
        quantization: In the place of its ``quantization``; None: that.
        candidates: In the place of its ``candidates``; None: those, or the ones in
            ``quantization``.

    Raises:
        ConfigError: If something is unknown, missing, out of range, or given twice.
    """
    quantization = quantization or cfg.get('quantization') or {}
    candidates = candidates or cfg.get('candidates') or None
    return QuantizationConfig.from_dict(quantization, candidates)


def check_names(cfg: Config, name: str | os.PathLike) -> None:
    """Find keys that were meant to be those that quantization reads.

    Args:
        cfg: The whole config.
        name: What messages call it.

    Raises:
        ConfigError: If there is no ``quantization``, or a key is misspelt.
    """
    missing = '' if cfg.get('quantization') else 'no quantization dict, but '
    for key in cfg:
        for ours in _OURS:
            derived = key.startswith(f'{ours}_') or key.endswith(f'_{ours}')
            if key == ours or key.startswith('_') or not (derived or _alike(key, ours)):
                continue
            if derived and cfg.get(ours):
                print_log(f"{name}: '{key}' is not read", 'current', logging.WARNING)
            elif not derived or missing:
                raise ConfigError(
                    f"{name} has {missing}'{key}', which is not read: did you mean "
                    f"'{ours}'? Variables of your own begin with _"
                )
    if missing:
        raise ConfigError(
            f'{name} has no quantization dict: inherit one of '
            'configs/_base_/quantization and name quantization.regions'
        )


def _alike(a: str, b: str) -> bool:
    return SequenceMatcher(None, a.lower(), b).ratio() >= _ALIKE
