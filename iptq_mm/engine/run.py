"""One command from a config to an integer model and its figures."""

from __future__ import annotations

import copy
import json
import os
import platform
from pathlib import Path
from typing import Any

import mmengine
import torch
from mmengine import dist
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from ..calibration import ConfigError
from ..functions import function_name
from ..plan import PlanError
from ..utils.files import atomic_write
from ..version import __version__
from ..visualization import plot_assignment
from .calibration_data import explained
from .checks import check_config
from .comparing_loop import ComparingLoop
from .export import (
    export_config,
    save_quantized,
    usual_hooks,
    write_config,
)
from .hook import QuantizationHook
from .loading import read_config
from .pretrained import without_pretrained
from .quantize import Quantization, unwrapped
from .report import report


def quantize_and_compare(
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
) -> dict[str, Any]:
    """Quantize the model of a config, evaluate it beside its float self, save.

    The work dir then holds ``plan.json``, ``integer.pth``, ``integer.py`` (a
    config that loads it with any mm tool), ``results.json``, ``functions.png``
    and mmengine's log.

    Args:
        config: Config file.
        checkpoint: Float checkpoint; None: ``load_from`` of the config.
        work_dir: Where to write; None: ``work_dir`` of the config, or
            ``work_dirs/<config name>``.
        out: Pickle file for the integer predictions, as mm's test tools write.
        resume: Whether to go on after the last finished phase.
        cfg_options: Overrides, by dotted key.
        launcher: mmengine's launcher.
        float_cache: Folder of what the float model gave in other runs, see
            :class:`~iptq_mm.engine.float_cache.FloatCache`.
        backend: What runs the integer model, now and by ``integer.py``, a name in
            ``BACKENDS``; None: ``backend`` of the config, or the eager integer mode,
            which alone counts saturated values.

    Returns:
        What ``results.json`` holds.

    Raises:
        ConfigError: If the config asks for something impossible.
        FileNotFoundError: If the config, checkpoint or data is missing.
    """
    cfg = read_config(config, checkpoint, cfg_options)
    cfg.launcher = launcher
    cfg.work_dir = work_dir or cfg.get('work_dir') or f'work_dirs/{Path(config).stem}'
    cfg.backend = backend or cfg.get('backend')
    quantization = check_config(cfg, config)
    original = copy.deepcopy(cfg)
    _prepare(cfg, out, float_cache)
    joined = dist.is_distributed()
    _prepare_cpu_ranks(cfg)
    runner = RUNNERS.build(cfg) if cfg.get('runner_type') else Runner.from_cfg(cfg)
    hook = QuantizationHook(resume=resume, backend=cfg.backend)
    runner.register_hook(hook, priority=hook.priority)
    with explained('the evaluation images'):
        loop = runner.test_loop
    _load(runner)
    runner.test()
    assert isinstance(loop, ComparingLoop) and hook.result is not None
    results = {
        **{k: v for k, v in loop.results.items() if k != 'seconds'},
        'assignment': hook.result.assignment(),
        'cost': _cost(hook.result),
        'seconds': {**hook.result.seconds, **loop.results['seconds']},
        'seed': runner.seed,
        'versions': _versions(),
    }
    if runner.rank == 0:
        folder = Path(runner.work_dir)
        metainfo = getattr(runner.test_dataloader.dataset, 'metainfo', None)
        save_quantized(runner.model, folder / 'integer.pth', metainfo)
        write_config(
            export_config(
                original, quantization.regions, 'integer.pth', original.backend
            ),
            folder / 'integer.py',
        )
        plot_assignment(
            results['assignment'], hook.result.records, folder / 'functions.png'
        )
        atomic_write(folder / 'results.json', json.dumps(results, indent=1) + '\n')
        print_log('\n' + report(results, hook.result, folder), 'current')
    if dist.is_distributed() and not joined:
        # A process that ends with its group's threads running may be aborted.
        torch.distributed.destroy_process_group()
    return results


def _prepare(cfg: Config, out: str | None, float_cache: str | None) -> None:
    """Turn the config into one of a run that quantizes and compares."""
    cfg.test_cfg = dict(type='iptq_mm.ComparingLoop', float_cache=float_cache)
    cfg.custom_hooks = usual_hooks(cfg)
    cfg.resume = False  # of a training
    cfg.randomness = {**(cfg.get('randomness') or {})}
    if cfg.randomness.get('seed') is None:
        cfg.randomness['seed'] = 0  # mmengine would draw one
    if not cfg.load_from:
        cfg.model = without_pretrained(cfg.model)
    if out:
        if not out.endswith(('.pkl', '.pickle')):
            raise ConfigError(f'--out {out}: the file has to be a .pkl or .pickle')
        # mm's own dumping metric.
        mmdet = cfg.get('default_scope') == 'mmdet'
        kind = 'DumpDetResults' if mmdet else 'DumpResults'
        evaluators = cfg.test_evaluator
        evaluators = evaluators if isinstance(evaluators, list) else [evaluators]
        cfg.test_evaluator = [*evaluators, dict(type=kind, out_file_path=out)]


def _prepare_cpu_ranks(cfg: Config) -> None:
    """Make up for mmengine, which takes every rank to have a GPU."""
    if cfg.launcher == 'none' or get_device() != 'cpu':
        return
    if cfg.launcher == 'pytorch' and not dist.is_distributed():
        torch.distributed.init_process_group('gloo')
    wrapper = {'type': 'MMDistributedDataParallel', 'device_ids': None}
    cfg.model_wrapper_cfg = {**wrapper, **(cfg.get('model_wrapper_cfg') or {})}


def _load(runner: Runner) -> None:
    """Load the checkpoint, or make weights.

    Raises:
        ConfigError: If the checkpoint cannot be read.
    """
    checkpoint = runner.cfg.load_from
    if not checkpoint:
        unwrapped(runner.model).init_weights()
        return
    try:
        runner.load_or_resume()
    except (ConfigError, PlanError):
        raise
    except Exception as error:  # whatever the reader of the file raises
        message = str(error).partition('\n')[0]
        raise ConfigError(
            f'the checkpoint {checkpoint} cannot be loaded: {message}'
        ) from error


def _cost(result: Quantization) -> float:
    """Weighted operations of the chosen functions, for one image."""
    return sum(
        result.records[region].candidates[site][function_name(plan.function)].total_cost
        for region, plans in result.plans.items()
        for site, plan in plans.sites.items()
        if plan.function
    )


def _versions() -> dict[str, str]:
    versions = {
        'iptq_mm': __version__,
        'python': platform.python_version(),
        'torch': torch.__version__,
        'mmengine': mmengine.__version__,
    }
    for name in ('mmcv', 'mmdet', 'mmpretrain'):
        try:
            versions[name] = __import__(name).__version__
        except ImportError:
            continue
    return versions
