"""Configs of models whose answers get flags, or a guard."""

from __future__ import annotations

import copy
from typing import Any

from mmengine.config import Config

from ...guarantee import Guarantee
from ..export.config_text import BESIDE
from ..loading.scopes import full_type


def flagging(config: Config, guarantee: Guarantee) -> Config:
    """A config of an integer model with the hook that flags its answers.

    Args:
        config: As ``export_config`` makes it.
        guarantee: What holds for the model.
    """
    config = copy.deepcopy(config)
    hook: Any = dict(type='iptq_mm.FlagHook', guarantee=guarantee.to_dict())
    config.custom_hooks = [*(config.get('custom_hooks') or []), hook]
    return config


def guarding(
    config: Config, guarantee: Guarantee, checkpoint: str = 'guarded.pth'
) -> Config:
    """A config of the guarded model: the integer model twice, the second one wider.

    Args:
        config: As ``export_config`` makes it.
        guarantee: What holds for the guarded model.
        checkpoint: File name of the checkpoint, beside the config.
    """
    config = flagging(config, guarantee)
    inner = copy.deepcopy(config.model)
    inner['type'] = full_type(inner['type'], config.get('default_scope'))
    config.model = dict(
        type='iptq_mm.GuardedClassifier',
        model=inner,
        wide=copy.deepcopy(inner),
        guarantee=guarantee.to_dict(),
    )
    config.load_from = BESIDE + checkpoint
    return config
