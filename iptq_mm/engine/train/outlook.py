"""What a training will do, and what share of its time each phase is likely to take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine import dist
from mmengine.runner import EpochBasedTrainLoop, Runner

from ...calibration import QuantizationConfig
from ..quantize.outlook import Outlook, expected, integer_passes

#: Passes of the float model that an image is worth in a training: the float model
#: itself, the same on integers, and gradients back through it. An estimate: a bar goes
#: by what it has seen, and the next run by what this one took.
_TRAINED = 12.0


def expected_training(
    runner: Runner,
    config: QuantizationConfig,
    backend: str | None,
    validated_by: str | None,
    runs_float: bool,
    phases: Sequence[str],
    images: int,
    done: int = 0,
) -> Outlook:
    """What a run that trains will do.

    Args:
        runner: The runner that trains; its loops are built.
        config: What to quantize.
        backend: What runs the integers in the evaluation; None: the eager mode.
        validated_by: The same of validations.
        runs_float: Whether the float model is evaluated.
        phases: Names of those of the quantization that are wanted and not done yet.
        images: Number of calibration images.
        done: Iterations that an earlier run has done.
    """
    evaluated = len(_images(runner.test_loop))
    outlook = expected(
        phases,
        config,
        images,
        evaluated,
        evaluated if runs_float else 0,
        backend,
        True,
        runner.work_dir,
        {'train': _worth(runner, validated_by)},
    )
    # After the times of an earlier run, which did all of it.
    total = runner.train_loop.max_iters
    outlook.weights['train'] *= max(0, total - done) / max(1, total)
    return outlook


def _worth(runner: Runner, backend: str | None) -> float:
    """Passes of the float model that the whole training is worth."""
    loop: Any = runner.train_loop
    count = loop.max_iters
    at_once = getattr(loop.dataloader.batch_sampler, 'batch_size', None) or 1
    worth = _TRAINED * count * at_once * dist.get_world_size()
    if runner._val_loop is not None:
        by_epoch = isinstance(loop, EpochBasedTrainLoop)
        every = loop.val_interval * (len(loop.dataloader) if by_epoch else 1)
        worth += (
            count // every * integer_passes(backend) * len(_images(runner.val_loop))
        )
    return worth


def _images(loop: Any) -> Any:
    return loop.dataloader.dataset
