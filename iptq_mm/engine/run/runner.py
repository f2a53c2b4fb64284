"""The mmengine runner of a config, apart from other runners and other processes."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path
from typing import Any

from mmengine import dist
from mmengine.config import Config
from mmengine.hooks import Hook, LoggerHook
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from ..loading.foreign import foreign_errors

_built: Counter[str] = Counter()  # runners of this process, by name
_drawn: Counter[str] = Counter()  # their visualizers, by the name in the config


def built_runner(cfg: Config) -> Runner:
    """The runner of a config, with a name that no other one of this process has.

    mmengine calls a runner by the name of its config and the second. Two of the same
    name would share a log file and the default scope, whatever their configs say. Nor
    do two share a visualizer that their configs call by the same name: it would write
    into the folder of the first one.

    Raises:
        ConfigError: If it cannot be built.
    """
    name = cfg.get('experiment_name') or Path(cfg.filename or 'run').stem
    _built[name] += 1
    if _built[name] > 1:
        cfg = copy.deepcopy(cfg)
        cfg.experiment_name = f'{name}_{_built[name]}'
    drawn = (cfg.get('visualizer') or {}).get('name')
    if drawn:
        _drawn[drawn] += 1
        if _drawn[drawn] > 1:
            cfg = copy.deepcopy(cfg)
            cfg.visualizer.name = f'{drawn}_{_drawn[drawn]}'
    with foreign_errors('the config cannot be built', 'mend what it names'):
        runner = RUNNERS.build(cfg) if cfg.get('runner_type') else Runner.from_cfg(cfg)
    if not dist.is_main_process():
        runner.register_hook(OwnMetricsFile())
    return runner


class OwnMetricsFile(Hook):
    """Keeps a process that is not the first from writing the metrics of a test.

    ``LoggerHook`` writes them in every process, and all into one file, where their
    times differ: what is left can be no JSON.
    """

    def before_test(self, runner: Runner) -> None:
        """Let the process write beside that file."""
        for hook in self._loggers(runner):
            hook.json_log_path = f'.{runner.timestamp}.rank{dist.get_rank()}.json'

    def after_test(self, runner: Runner) -> None:
        """Remove what it has written."""
        for hook in self._loggers(runner):
            Path(runner.log_dir, str(hook.json_log_path)).unlink(missing_ok=True)

    @staticmethod
    def _loggers(runner: Any) -> list[LoggerHook]:
        return [hook for hook in runner.hooks if isinstance(hook, LoggerHook)]
