"""What a training notes of itself, and what makes it repeatable."""

from __future__ import annotations

import copy
import logging
import math
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from mmengine import dist
from mmengine.hooks import EMAHook, Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import nn

from ...calibration import ConfigError
from ...utils.durations import duration
from .checkpoints import OURS
from .images import seed_random
from .trainee import Trainee

try:
    import resource
except ImportError:  # Windows has no such figures
    resource = None  # type: ignore[assignment]

#: Parts of a training whose mean losses are kept.
_PARTS = 20
#: Updates after which a region without any gradient is a mistake.
_PATIENCE = 20


class TrainingHook(Hook):
    """Seeds each iteration, and notes losses, times and memory.

    Random numbers of an iteration (which proposals are sampled, how images are mixed)
    depend on its number, so that a run that goes on makes the same.

    Args:
        run: Name of the run.
        show: Is told how far the training is: the part that is done, a text about it,
            and whether the log is to have it as a line (mmengine's has its own).

    Attributes:
        notes: What is kept in checkpoints: sums of losses by part of the training,
            their counts, seconds, the metrics of validations.
    """

    priority = 'HIGH'

    def __init__(
        self, run: str, show: Callable[[float, str, bool], None] | None = None
    ) -> None:
        self._run, self._show = run, show
        self._done = 0
        self.notes: dict[str, Any] = {
            'losses': [0.0] * _PARTS,
            'counts': [0] * _PARTS,
            'images': 0,
            'seconds': 0.0,
            'validation': [],
        }

    def before_train(self, runner: Runner) -> None:
        """Note the time."""
        self._started = time.perf_counter()

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Seed the iteration."""
        model = _trainee(runner)
        model.place = f'in iteration {runner.iter + 1} of {runner.max_iters}'
        seed_random(runner.seed or 0, dist.get_rank(), runner.iter)
        self._began = time.perf_counter()

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Note loss, time and memory.

        Raises:
            ConfigError: If a region gets no gradients.
        """
        part = runner.iter * _PARTS // runner.max_iters
        self.notes['losses'][part] += float(outputs['loss'])
        self.notes['counts'][part] += 1
        self.notes['images'] += len(data_batch['inputs']) * dist.get_world_size()
        self.notes['seconds'] += time.perf_counter() - self._began
        runner.message_hub.update_scalar('train/peak_memory_mb', peak_memory_mb())
        if runner.iter + 1 == _PATIENCE * _accumulated(runner):
            self._check_gradients(runner)
        if self._show is not None:
            self._tell(runner.iter + 1, runner.max_iters, self._show)

    def _tell(
        self, done: int, total: int, show: Callable[[float, str, bool], None]
    ) -> None:
        """Show how far the training is, and the time that is left."""
        self._done += 1
        spent = time.perf_counter() - self._started
        left = duration(spent / self._done * (total - done))
        text = f'iteration {done}/{total}, {duration(spent)}, {left} left'
        show(done / total, text, False)

    def after_train(self, runner: Runner) -> None:
        """Warn of regions without gradients where a training was short."""
        left = _trainee(runner).without_gradient
        if left and sum(self.notes['counts']):
            print_log(_left(left), 'current', logging.WARNING)

    def after_val_epoch(self, runner: Runner, metrics: Any = None) -> None:
        """Note the metrics."""
        noted = {k: _plain(v) for k, v in (metrics or {}).items()}
        self.notes['validation'].append({'iteration': runner.iter, **noted})

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Put the notes into the checkpoint."""
        checkpoint[OURS] = {'run': self._run, 'notes': copy.deepcopy(self.notes)}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take the notes out of it."""
        self.notes = checkpoint[OURS]['notes']

    def _check_gradients(self, runner: Runner) -> None:
        left = _trainee(runner).without_gradient
        if left:
            raise ConfigError(_left(left))

    def summary(self) -> dict[str, Any]:
        """Figures for ``results.json``."""
        counts, losses = self.notes['counts'], self.notes['losses']
        steps = sum(counts)
        means = [s / n for s, n in zip(losses, counts, strict=True) if n]
        return {
            'iterations': steps,
            'images': self.notes['images'],
            'loss': [round(mean, 6) for mean in means],
            'seconds': round(self.notes['seconds'], 2),
            'seconds_per_iteration': round(self.notes['seconds'] / max(1, steps), 4),
            'peak_memory_mb': peak_memory_mb(),
            'validation': self.notes['validation'],
        }


def peak_memory_mb() -> int:
    """Most memory that this process has had so far: of the GPU, or resident, in MB."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() >> 20
    if resource is None:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak >> (20 if sys.platform == 'darwin' else 10)


def averaged_integers(runner: Runner) -> nn.Module:
    """The integers that a training leaves: of the averaged weights, if it has some.

    They are those of the last validation, if there was one after the last iteration.
    """
    model = _trainee(runner)
    averages = [hook for hook in runner.hooks if isinstance(hook, EMAHook)]
    for hook in averages:
        hook.before_test_epoch(runner)
    try:
        return model.integers()
    finally:
        for hook in averages:
            hook.after_test_epoch(runner)


def _trainee(runner: Runner) -> Trainee:
    assert isinstance(runner.model, Trainee)
    return runner.model


def _accumulated(runner: Runner) -> int:
    return (runner.cfg.optim_wrapper or {}).get('accumulative_counts', 1)


def _left(regions: list[str]) -> str:
    return (
        f'the regions {regions} have got no gradient: qat.loss says nothing about '
        'them. Add a loss that does (features or labels), or take them out of '
        'quantization.regions'
    )


def _plain(value: Any) -> Any:
    value = value.tolist() if hasattr(value, 'tolist') else value
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no NaN
    return value
