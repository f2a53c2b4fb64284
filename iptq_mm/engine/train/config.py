"""The ``qat`` dict of a config, checked as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mmengine.config import Config, ConfigDict

from ...calibration import ConfigError
from ...calibration.config.reading import build, check_arguments, check_type, plain
from ...registry import TRAINING_LOSSES

#: Where the settings that have no default are.
PRESETS = 'configs/_base_/qat'
#: Settings without which mmengine's loop cannot train.
_NEEDED = ('optim_wrapper', 'train_cfg')


@dataclass
class TrainingConfig:
    """The whole of ``qat = dict(...)`` in a config.

    Keys of the config that mm's float training reads (``optim_wrapper``,
    ``param_scheduler``, ``train_cfg``, ``custom_hooks``, ``auto_scale_lr``) are those
    of hundreds of epochs from random weights. They are not read; what stands here
    takes their place, in mmengine's own words.

    Attributes:
        optim_wrapper: As mmengine has it.
        train_cfg: As mmengine has it: the loop, epochs or iterations, when to validate.
        param_scheduler: As mmengine has it.
        loss: Registry dicts of losses, which add up; a name alone stands for one with
            its defaults. Empty: ``logits`` for classifiers, ``features`` for others,
            which need no labels.
        parameters: ``regions``: those of the integer regions are trained, the others
            stay as they are. ``all``: those of float modules, too.
        learn_ranges: Whether the ranges of values of at most 8 bits are trained, too
            (learned step size quantization). It pays where there are few bits.
        train_dataloader: What is different from ``train_dataloader`` of the config, as
            a config differs from its base.
        mix: Registry dicts of mmpretrain's batch augmentations (``Mixup``, ``CutMix``),
            of which one is drawn for each batch. For losses that need no labels.
        custom_hooks: As mmengine has them, ``EMAHook`` for instance.
        checkpoint: Arguments of mmengine's ``CheckpointHook``. By iterations unless
            ``by_epoch=True``.
    """

    optim_wrapper: dict
    train_cfg: dict
    param_scheduler: list[dict] | dict | None = None
    loss: list[dict] = field(default_factory=list)
    parameters: str = 'regions'
    learn_ranges: bool = False
    train_dataloader: dict = field(default_factory=dict)
    mix: list[dict] = field(default_factory=list)
    custom_hooks: list[dict] = field(default_factory=list)
    checkpoint: dict = field(default_factory=lambda: {'interval': 100})


def read_training(cfg: Config, name: Any) -> TrainingConfig:
    """The checked training settings of a config.

    Args:
        cfg: The whole config.
        name: What messages call it.

    Raises:
        ConfigError: If there are none, or something is unknown, missing or of no use.
    """
    given = cfg.get('qat')
    if given is None:
        raise ConfigError(
            f'{name} has no qat dict, which says how to train: inherit one of '
            f'{PRESETS}, or quantize without training with tools/quantize.py'
        )
    if not isinstance(given, Mapping):
        raise ConfigError(f'qat is a dict, not {given!r}')
    settings: dict[str, Any] = {k: given[k] for k in given if k != '_delete_'}
    if 'loss' in settings:
        settings['loss'] = _losses(plain(settings['loss']))
    missing = [key for key in _NEEDED if not settings.get(key)]
    if missing and not set(settings) - _known():
        raise ConfigError(
            f'qat.{missing[0]} is missing: inherit one of {PRESETS}, or say it there '
            f'in the words of mmengine. ({missing[0]} of the config is that of the '
            'float training, and is not used)'
        )
    for key in missing:
        settings.setdefault(key, {})
    read: TrainingConfig = build(TrainingConfig, settings, 'qat')
    _check(read)
    return read


def _known() -> set[str]:
    return set(TrainingConfig.__dataclass_fields__)


def _losses(given: Any) -> list[dict]:
    given = given if isinstance(given, list) else [given]
    return [{'type': loss} if isinstance(loss, str) else loss for loss in given]


def _check(read: TrainingConfig) -> None:
    for cfg in read.loss:
        check_type(TRAINING_LOSSES, cfg, 'qat.loss')
        check_arguments(TRAINING_LOSSES, cfg, 'qat.loss')
    kinds = [cfg['type'] for cfg in read.loss]
    if len(set(kinds)) < len(kinds):
        raise ConfigError(f'qat.loss has a loss twice: {kinds}')
    if read.parameters not in ('regions', 'all'):
        raise ConfigError(f"qat.parameters={read.parameters!r}: use 'regions' or 'all'")
    if not isinstance(read.learn_ranges, bool):
        raise ConfigError(f'qat.learn_ranges is True or False, not {read.learn_ranges}')
    _check_optimizer(read.optim_wrapper)
    _check_checkpoints(read)


def _check_optimizer(wrapper: Mapping[str, Any]) -> None:
    kind = wrapper.get('type', 'OptimWrapper')
    name = kind if isinstance(kind, str) else kind.__name__
    if name.rpartition('.')[2] != 'OptimWrapper':
        raise ConfigError(
            f"qat.optim_wrapper.type='{name}': integers are exact in float32 alone, "
            "without mixed precision: use type='OptimWrapper'"
        )
    if 'optimizer' not in wrapper:
        raise ConfigError(
            'qat.optim_wrapper has no optimizer: give it one, e.g. '
            "optimizer=dict(type='AdamW', lr=1e-5)"
        )


def _check_checkpoints(read: TrainingConfig) -> None:
    given = read.checkpoint
    if given.get('max_keep_ckpts') == 1:
        raise ConfigError(
            'qat.checkpoint.max_keep_ckpts=1: mmengine removes the old checkpoint '
            'before it writes the new one, and nothing is left if that fails: use 2'
        )
    steps = read.optim_wrapper.get('accumulative_counts', 1)
    by_epoch, every = given.get('by_epoch', False), given.get('interval', -1)
    if not by_epoch and every > 0 and every % steps:
        raise ConfigError(
            f'qat.checkpoint.interval={every} would save between the {steps} batches '
            'whose gradients are accumulated, and those would be lost: use a multiple '
            f'of qat.optim_wrapper.accumulative_counts={steps}'
        )


def training_config(cfg: Config, settings: TrainingConfig) -> Config:
    """The config of the runner that trains.

    Args:
        cfg: The whole config; it is changed.
        settings: Its training settings.

    Returns:
        ``cfg``, with the settings in the places where mmengine reads them.
    """
    cfg.load_from, cfg.resume = None, False
    for key in ('optim_wrapper', 'train_cfg', 'param_scheduler', 'custom_hooks'):
        value = getattr(settings, key)
        cfg[key] = ConfigDict(value) if isinstance(value, dict) else value
    cfg.train_cfg = _own_loop(cfg.train_cfg)
    cfg.auto_scale_lr = None
    if settings.train_dataloader:
        cfg.merge_from_dict({'train_dataloader': settings.train_dataloader})
    hooks = ConfigDict(cfg.get('default_hooks') or {})
    hooks.checkpoint = {
        'type': 'CheckpointHook',
        'by_epoch': False,
        'max_keep_ckpts': 2,
        'backend_args': {'backend': 'iptq_mm.whole'},
        **settings.checkpoint,
    }
    cfg.default_hooks = hooks
    return cfg


def _own_loop(train_cfg: ConfigDict) -> ConfigDict:
    """The loop of mmengine, as the subclass that goes on after any iteration."""
    loop = ConfigDict(train_cfg)
    by_epoch = loop.pop('by_epoch', None)
    kind = loop.get('type')
    if kind is None:
        kind = 'IterBasedTrainLoop' if by_epoch is False else 'EpochBasedTrainLoop'
    name = kind if isinstance(kind, str) else kind.__name__
    ours = {
        'EpochBasedTrainLoop': 'iptq_mm.ResumableEpochLoop',
        'IterBasedTrainLoop': 'iptq_mm.ResumableIterLoop',
    }
    loop['type'] = ours.get(name.rpartition('.')[2], kind)
    return loop
