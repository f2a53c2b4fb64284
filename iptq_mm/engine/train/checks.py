"""Checks of a training before it begins, so that mistakes cost no hours."""

from __future__ import annotations

import copy
import os
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.runner import Runner
from torch import nn

from ...calibration import ConfigError, QuantizationConfig, expanded
from ...registry import TRAINING_LOSSES
from ..calibration_data import explained, refuse_evaluated
from ..evaluate.rehearsal import random_states_kept, rehearse
from ..loading.foreign import foreign_errors
from ..loading.models import is_quantized
from ..run.checks import check_config
from .config import TrainingConfig, read_training
from .images import Mixing, SeededImages
from .losses import TrainingLoss
from .passes import Passes

#: Settings of a config that would change what the trained model computes.
_REFUSED = {
    'compile': 'torch.compile does not see integers',
    'activation_checkpointing': 'regions cannot be run in part',
    'efficient_conv_bn_eval': 'it changes the float model',
    'model_wrapper_cfg': 'gradients are averaged without a wrapper',
    'strategy': 'gradients are averaged without a strategy',
}
#: Images of the batch that is tried out.
_TRIED = 2


def check_training(
    cfg: Config, name: str | os.PathLike
) -> tuple[QuantizationConfig, TrainingConfig]:
    """Find what is wrong with a config before hours are spent.

    Args:
        cfg: The whole config.
        name: What messages call it.

    Returns:
        Its settings of quantization and of training.

    Raises:
        ConfigError: If the config asks for something impossible.
        FileNotFoundError: If there is no such checkpoint.
    """
    if is_quantized(cfg.get('model')):
        raise ConfigError(
            f'{name} builds a model that is quantized already: train the float config '
            'with its float checkpoint, which quantizes before it trains'
        )
    quantization = check_config(cfg, name, torch.device(get_device()))
    if any(override.keep_float for override in quantization.overrides):
        raise ConfigError(
            f'{name}: quantization.overrides keeps modules float, which a training '
            'cannot go through yet: take keep_float out'
        )
    training = read_training(cfg, name)
    for key, reason in _REFUSED.items():
        if cfg.get(key):
            raise ConfigError(f'{name}: {key} has to go for a training, {reason}')
    if quantization.guarantee.images:
        raise ConfigError(
            f'{name}: quantization.guarantee needs images that the model never saw, '
            'and a training sees all of train_dataloader: take it out'
        )
    if not cfg.get('train_dataloader'):
        raise ConfigError(f'{name} has no train_dataloader: there is nothing to see')
    return quantization, training


def built_losses(training: TrainingConfig, model: nn.Module) -> list[TrainingLoss]:
    """The losses of a training.

    Args:
        training: Its settings.
        model: Decides where they name none: the classes of a classifier, the features
            of any other model, neither of which needs labels.
    """
    classifier = isinstance(getattr(model, 'head', None), nn.Module)
    default = [{'type': 'logits' if classifier else 'features'}]
    return [TRAINING_LOSSES.build(loss) for loss in training.loss or default]


def built_mixing(training: TrainingConfig, losses: list[TrainingLoss]) -> Mixing | None:
    """What mixes the images of a batch; None: nothing.

    Args:
        training: The settings.
        losses: What is minimized.

    Raises:
        ConfigError: If a loss needs labels, or an augmentation cannot be built.
    """
    if not training.mix:
        return None
    if any(loss.needs_labels for loss in losses):
        raise ConfigError(
            "qat.mix mixes images, and qat.loss has 'labels', which would have to be "
            "mixed with them: use 'logits' or 'features', or mmpretrain's own "
            'data_preprocessor.batch_augments'
        )
    return Mixing(training.mix)


def rehearse_training(
    runner: Runner,
    model: Any,
    losses: list[TrainingLoss],
    mixing: Mixing | None,
    quantization: QuantizationConfig,
    cfg: Config,
    everything: bool,
) -> None:
    """Try everything that comes after calibration, with the float model.

    Args:
        runner: The runner that will train.
        model: The float model, in evaluation mode.
        losses: What will be minimized.
        mixing: What mixes the images of a batch.
        quantization: Names the regions.
        cfg: The whole config.
        everything: Whether parameters of float modules are trained, too.

    Raises:
        ConfigError: If training images are evaluated ones, there is nothing to train,
            or something does not fit.
    """
    _check_parameters(model, expanded(model, quantization.regions), everything)
    with explained('the training images'):
        loader: Any = runner.train_loop.dataloader
    dataset = loader.dataset
    if isinstance(dataset, SeededImages):
        dataset = dataset.dataset
    refuse_evaluated(dataset, cfg, runner.cfg.train_dataloader.get('dataset'))
    with random_states_kept():
        regions = expanded(model, quantization.regions)
        _try_losses(loader, model, losses, mixing, regions)
    loops: dict[str, Any] = {'test': runner.test_loop}
    if runner._val_loop is not None:
        loops['val'] = runner.val_loop
    for split, loop in loops.items():
        rehearse(model, loop.dataloader, copy.deepcopy(loop.evaluator), split)


def _check_parameters(model: nn.Module, regions: list[str], everything: bool) -> None:
    parts = [model] if everything else [model.get_submodule(name) for name in regions]
    if not any(p.numel() for part in parts for p in part.parameters()):
        raise ConfigError(
            f'nothing can be trained: the regions {regions} have no parameters; name '
            'others in quantization.regions'
        )


def _try_losses(
    loader: Any,
    model: Any,
    losses: list[TrainingLoss],
    mixing: Mixing | None,
    regions: list[str],
) -> None:
    """Compute the losses of a small batch.

    Raises:
        ConfigError: If that fails.
    """
    indices: list[Any] = list(range(min(_TRIED, len(loader.dataset))))
    if isinstance(loader.dataset, SeededImages):
        indices = [(index, 0) for index in indices]
    with explained('the training images'):
        samples = [loader.dataset[index] for index in indices]
        batch = loader.collate_fn(samples)
    labels = any(loss.needs_labels for loss in losses)
    names = [type(loss).__name__ for loss in losses]
    advice = (
        "images without labels are trained on by qat.loss='logits' (classifiers) or "
        "'features'; for 'labels', the pipeline of train_dataloader has to load them"
        if labels
        else 'model, data_preprocessor and train_dataloader have to fit each other'
    )
    what = f'the float model gives no {" + ".join(names)} for the first training images'
    with torch.no_grad(), foreign_errors(what, advice):
        data = model.data_preprocessor(batch, labels)
        if mixing is not None:
            data = {**data, 'inputs': mixing(data['inputs'])}
        passes = Passes(model, model, regions, data, None, labels)
        terms = [value for loss in losses for value in loss(passes).values()]
        if not all(bool(torch.isfinite(term)) for term in terms):
            raise ConfigError(f'{what}, but NaN or infinity: {advice}')
