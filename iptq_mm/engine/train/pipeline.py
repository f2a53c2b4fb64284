"""One command from a config to a trained integer model and its figures."""

from __future__ import annotations

import copy
import os
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine import dist
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader, load_checkpoint
from torch import nn

from ...calibration import QuantizationConfig
from ...modes import regions_in
from ...modes.integer import Integer
from ...program import use_backend
from ..evaluate.float_results import given_results
from ..evaluate.metric_files import float_evaluator
from ..loading.backends import EAGER
from ..loading.checkpoints import LoadCheck, loading, refuse_integers, weights_in
from ..loading.devices import log_device, on_device
from ..loading.models import read_config, unwrapped
from ..loading.pretrained import without_pretrained
from ..loading.threads import log_threads
from ..quantize.progress import watched
from ..run.pipeline import FloatSide, compare, prepare
from ..run.processes import by_first, joined
from ..run.runner import built_runner
from ..run.work_dir import announce_replacement, held
from .checkpoints import newest_checkpoint
from .checks import built_losses, built_mixing, check_training, rehearse_training
from .config import TrainingConfig, training_config
from .hook import TrainingHook, averaged_integers
from .outlook import expected_training
from .start import kept_files, native_runs, quantized_start
from .trained import TrainedModel
from .trainee import Trainee


def train_and_compare(
    config: str | os.PathLike,
    checkpoint: str | None = None,
    *,
    work_dir: str | None = None,
    out: str | None = None,
    resume: bool = False,
    cfg_options: dict[str, Any] | None = None,
    launcher: str = 'none',
    float_cache: str | None = None,
    backend: str | None = None,
    device: str | None = None,
    run_float: bool = True,
    float_results: str | None = None,
) -> dict[str, Any]:
    """Quantize the model of a config, train its integers, evaluate, save.

    The work dir then holds what
    :func:`~iptq_mm.engine.run.pipeline.quantize_and_compare` writes, and the
    checkpoints of the training.

    Args:
        config: Config file with ``quantization`` and ``qat``.
        checkpoint: Float checkpoint; None: ``load_from`` of the config.
        work_dir: Where to write; None: ``work_dir`` of the config, or
            ``work_dirs/<config name>``.
        out: Pickle file for the integer predictions, as mm's test tools write.
        resume: Whether to go on where an interrupted run in the work dir was.
        cfg_options: Overrides, by dotted key.
        launcher: mmengine's launcher.
        float_cache: Folder of what the float model gave in other runs.
        backend: What runs the integer model after the training, a name in
            ``BACKENDS``; None: ``backend`` of the config, or the eager integer mode.
        device: Where the models run; None: where mmengine finds an accelerator.
        run_float: Whether the float model is evaluated after the training, too.
        float_results: File or work dir of an earlier run that has what it gave.

    Returns:
        What ``results.json`` holds: as of a quantization, and a section ``training``.

    Raises:
        ConfigError: If the config asks for something impossible.
        FileNotFoundError: If the config, checkpoint or data is missing.
        NotFiniteError: If a loss or a gradient is NaN or infinite.
    """
    with on_device(device, launcher):
        return _train_and_compare(
            config,
            checkpoint,
            work_dir,
            out,
            resume,
            cfg_options,
            launcher,
            backend,
            FloatSide(float_cache, run_float, float_results),
        )


def _train_and_compare(
    config: str | os.PathLike,
    checkpoint: str | None,
    work_dir: str | None,
    out: str | None,
    resume: bool,
    cfg_options: dict[str, Any] | None,
    launcher: str,
    backend: str | None,
    float_side: FloatSide,
) -> dict[str, Any]:
    """See :func:`train_and_compare`; on the device that mmengine finds."""
    cfg = read_config(config, checkpoint, cfg_options)
    cfg.launcher = launcher
    cfg.work_dir = work_dir or cfg.get('work_dir') or f'work_dirs/{Path(config).stem}'
    cfg.backend = None if backend == EAGER else backend or cfg.get('backend')
    settings = check_training(cfg, config)
    original = copy.deepcopy(cfg)
    prepare(cfg, out, float_side)
    training = copy.deepcopy(original)
    training.randomness = copy.deepcopy(cfg.randomness)
    with joined(cfg), ExitStack() as stack:
        training.model_wrapper_cfg = copy.deepcopy(cfg.get('model_wrapper_cfg'))
        by_first(lambda: stack.enter_context(held(cfg.work_dir)))
        if dist.is_main_process():
            announce_replacement(
                cfg.work_dir, kept_files(Path(cfg.work_dir)) if resume else None
            )
            log_device(torch.device(get_device()))
            log_threads()
        trained = _train(training, *settings, resume, float_side)
        return compare(cfg, original, trained)


def _train(
    cfg: Config,
    quantization: QuantizationConfig,
    settings: TrainingConfig,
    resume: bool,
    float_side: FloatSide,
) -> TrainedModel:
    """Quantize and train; what was read for it is forgotten at its end."""
    checkpoint, folder = cfg.load_from, Path(cfg.work_dir)
    whole = copy.deepcopy(cfg)
    if not checkpoint:
        cfg.model = without_pretrained(cfg.model)
    runner = built_runner(training_config(cfg, settings))
    model = unwrapped(runner.model)
    _load(model, checkpoint, quantization.regions)
    float_model = copy.deepcopy(model).eval()
    losses = built_losses(settings, model)
    mixing = built_mixing(settings, losses)
    everything = settings.parameters == 'all'
    rehearse_training(
        runner, float_model, losses, mixing, quantization, whole, everything
    )
    float_results = float_side.float_results
    if float_results:  # a wrong file is found now, not after the training
        loop: Any = runner.test_loop
        evaluator, images = float_evaluator(loop.evaluator), loop.dataloader.dataset
        given_results(float_results, float_model, evaluator, images, whole)
    fastest = _fastest(whole, model)
    runs_float = float_side.run_float and not float_results
    foresee = partial(
        expected_training, runner, quantization, whole.backend, fastest, runs_float
    )
    start = quantized_start(
        model, whole, quantization, folder, resume, settings.learn_ranges, foresee
    )
    runner.model = Trainee(model, float_model, losses, everything, fastest, mixing)
    # mmengine would initialize the weights anew.
    runner._init_model_weights = lambda: None  # type: ignore[method-assign]
    saved = folder
    if 'out_dir' in settings.checkpoint:  # mmengine adds the name of the work dir
        saved = Path(settings.checkpoint['out_dir'], folder.resolve().name)
    newest = newest_checkpoint(saved, start.run) if start.resumed else None
    if newest:
        runner._load_from, runner._resume = newest.path, True
    elif resume:
        print_log('no iteration was finished before: training begins', 'current')
    outlook = start.outlook
    if outlook is None:  # the model is quantized already
        outlook = foresee((), 0, newest.iteration if newest else 0)
        print_log(outlook.text(), 'current')
    began = time.perf_counter()
    with watched('train', outlook) as show:
        noting = TrainingHook(start.run, show)
        runner.register_hook(noting)
        runner.train()
    outlook.finish('train', time.perf_counter() - began)
    integers = averaged_integers(runner)
    use_backend(integers, whole.backend)
    found = start.found
    found.plans = {n: _integer(r.mode).plan for n, r in regions_in(integers).items()}
    summary = noting.summary()
    found.seconds['train'] = summary['seconds']
    summary['settings'] = {
        'loss': [dict(loss) for loss in settings.loss]
        or [type(loss).__name__ for loss in losses],
        'mix': [dict(augment) for augment in settings.mix],
        'parameters': settings.parameters,
        'learn_ranges': settings.learn_ranges,
        'optim_wrapper': _plain(settings.optim_wrapper),
        'train_cfg': _plain(settings.train_cfg),
        'processes': dist.get_world_size(),
    }
    return TrainedModel(integers, found, start.calibration, summary, outlook)


def _load(model: nn.Module, checkpoint: str | None, regions: list[str]) -> None:
    """Load the float weights, or make some.

    Raises:
        ConfigError: If the checkpoint cannot be read, or is no float one of the model.
    """
    if not checkpoint:
        model.init_weights()  # type: ignore[operator]
        return
    with loading(checkpoint):
        given = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
        weights = weights_in(given)
        refuse_integers(weights)
        check = LoadCheck(model, weights)
        load_checkpoint(model, checkpoint, map_location='cpu')
    check.finish(regions)


def _fastest(cfg: Config, model: nn.Module) -> str | None:
    """The back end of validations: all give the same integers."""
    return cfg.backend or ('native' if native_runs(model) else None)


def _integer(mode: Any) -> Integer:
    assert isinstance(mode, Integer)
    return mode


def _plain(value: Any) -> Any:
    """Settings as JSON has them."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value if isinstance(value, int | float | bool | None) else str(value)
