"""One command from a config to an integer model and its figures."""

from __future__ import annotations

import copy
import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine import dist
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.runner import Runner

from ...calibration import ConfigError
from ..calibration_data import explained
from ..evaluate.float_results import read_float_results
from ..export.checkpoint import usual_hooks
from ..guarantee import CertifyHook
from ..loading.backends import AUTO, chosen_backend
from ..loading.checkpoints import loading
from ..loading.devices import log_device, on_device
from ..loading.models import read_config, unwrapped
from ..loading.pretrained import without_pretrained
from ..loading.threads import log_threads
from ..quantize.hook import STATE_FILE, QuantizationHook
from ..report.finish import finish_report
from .checks import check_config
from .closing import closing
from .outcome import OutcomeHook
from .processes import by_first, joined
from .runner import built_runner
from .work_dir import announce_replacement, check_folder, held

#: What to do when a process of the run has died.
RESUME_HINT = '. The same command with --resume goes on after the last finished phase'


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
    device: str | None = None,
    run_float: bool = True,
    float_results: str | None = None,
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
            :class:`~iptq_mm.engine.evaluate.float_cache.FloatCache`.
        backend: What runs the integer model, now and by ``integer.py``, a name in
            ``BACKENDS``; None: ``backend`` of the config, or the eager integer mode,
            which is ``'eager'``, too. ``'auto'``: as None, but where that is the eager
            mode, ``native`` evaluates if it can run here.
        device: Where the models run, ``cpu`` or ``cuda`` for instance; None: where
            mmengine finds an accelerator.
        run_float: Whether the float model is evaluated, too.
        float_results: File or work dir of an earlier run that has what the float model
            gave, in the place of evaluating it; see
            :func:`~iptq_mm.engine.evaluate.float_results.read_float_results`.

    Returns:
        What ``results.json`` holds.

    Raises:
        ConfigError: If the config asks for something impossible.
        FileNotFoundError: If the config, checkpoint or data is missing.
    """
    with on_device(device, launcher):
        return _quantize_and_compare(
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


def _quantize_and_compare(
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
    """See :func:`quantize_and_compare`; on the device that mmengine finds."""
    cfg = read_config(config, checkpoint, cfg_options)
    cfg.launcher = launcher
    cfg.work_dir = work_dir or cfg.get('work_dir') or f'work_dirs/{Path(config).stem}'
    device = torch.device(get_device())
    runs_by = chosen_backend(backend, cfg.get('backend'), device)
    # What integer.py says: it may be read where there is no compiler.
    cfg.backend = cfg.get('backend') if backend == AUTO else runs_by
    check_config(cfg, config, device)
    if cfg.get('qat'):
        print_log(f'{config}: qat is not read here: tools/train.py trains', 'current')
    original = copy.deepcopy(cfg)
    prepare(cfg, out, float_side)
    with joined(cfg, RESUME_HINT), ExitStack() as stack:
        by_first(lambda: stack.enter_context(held(cfg.work_dir)))
        if dist.is_main_process():
            kept = [Path(cfg.work_dir, STATE_FILE)] if resume else None
            announce_replacement(cfg.work_dir, kept)
            log_device(device)
            log_threads()
        hook = QuantizationHook(resume=resume, backend=runs_by, plan_file=None)
        settings = hook.config(cfg)
        wanted = settings.guarantee.images
        certifying = CertifyHook(settings, resume) if wanted else None
        return compare(cfg, original, hook, certifying)


def compare(
    cfg: Config,
    original: Config,
    quantizing: Any,
    certifying: CertifyHook | None = None,
) -> dict[str, Any]:
    """Evaluate a model beside its float self, and write it and the results.

    Args:
        cfg: The config, prepared by :func:`prepare`. What is read for the run is
            forgotten at its end.
        original: The config before that.
        quantizing: Hook that makes the model integer before the test, see
            :class:`~.outcome.Quantizing`.
        certifying: Hook that makes the guarantee; None: none is asked for.

    Returns:
        What ``results.json`` holds.
    """
    runner = built_runner(cfg)
    outcome = OutcomeHook(original, quantizing, certifying)
    for hook in (quantizing, outcome, *([certifying] if certifying else [])):
        runner.register_hook(hook, priority=hook.priority)
    with explained('the evaluation images'):
        runner.test_loop  # noqa: B018 builds the data set
    if certifying:
        certifying.prepare(runner)
    _load(runner)
    runner.test()
    by_first(lambda: _close(runner, outcome.results))
    return outcome.results


def _close(runner: Runner, results: dict[str, Any]) -> None:
    """Write the report, and say last of all what came out."""
    loop: Any = runner.test_loop
    report = finish_report(loop, results, runner.work_dir)
    print_log('\n' + closing(results, runner.work_dir, report), 'current')


@dataclass(frozen=True)
class FloatSide:
    """What an evaluation does with the float model.

    Attributes:
        float_cache: Folder of what it gave in other runs.
        run_float: Whether it runs.
        float_results: File of what it gave in an earlier run, instead of running it.
    """

    float_cache: str | None = None
    run_float: bool = True
    float_results: str | None = None

    def check(self) -> None:
        """Find out now whether the file can be read.

        Raises:
            ConfigError: If it is not what it should be, or not wanted.
            FileNotFoundError: If there is no such file.
        """
        if self.float_results and not self.run_float:
            raise ConfigError(
                '--no-float and --float-results exclude each other: the first leaves '
                'the float metrics out, the second takes them from a file'
            )
        if self.float_results:
            read_float_results(self.float_results)


def prepare(cfg: Config, out: str | None, float_side: FloatSide) -> None:
    """Turn the config into one of a run that quantizes and compares."""
    float_side.check()
    given = cfg.get('test_cfg') or {}
    cfg.test_cfg = dict(type='iptq_mm.ComparingLoop', **vars(float_side))
    if 'count_every' in given:
        cfg.test_cfg['count_every'] = given['count_every']
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
        check_folder(Path(out).parent, '--out')
        # mm's own dumping metric.
        mmdet = cfg.get('default_scope') == 'mmdet'
        kind = 'DumpDetResults' if mmdet else 'DumpResults'
        evaluators = cfg.test_evaluator
        evaluators = evaluators if isinstance(evaluators, list) else [evaluators]
        cfg.test_evaluator = [*evaluators, dict(type=kind, out_file_path=out)]


def _load(runner: Runner) -> None:
    """Load the checkpoint, or make weights.

    Raises:
        ConfigError: If the checkpoint cannot be read.
    """
    checkpoint = runner.cfg.load_from
    if not checkpoint:
        unwrapped(runner.model).init_weights()
        return
    with loading(checkpoint):
        runner.load_or_resume()
