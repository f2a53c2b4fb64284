"""A rehearsal of the evaluation on one image, before hours are spent."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import Evaluator
from torch.utils.data import DataLoader

from ...calibration import ConfigError
from ..calibration_data import explained
from ..loading.foreign import foreign_errors
from .annotations import check_annotations


@torch.no_grad()
def rehearse(
    model: Any, loader: DataLoader, evaluator: Evaluator, split: str = 'test'
) -> None:
    """Let the float model predict the first image, and the metrics take it.

    Args:
        model: The float model, in eval mode.
        loader: Of the evaluated data.
        evaluator: A copy; it keeps what it was given.
        split: ``test`` or ``val``, as the config names it.

    Raises:
        ConfigError: If one of them does not fit the others.
    """
    with random_states_kept():
        with explained('the evaluation images'):
            batch: Any = loader.collate_fn([loader.dataset[0]])
        if isinstance(batch, dict) and 'inputs' not in batch:
            raise ConfigError(
                'the evaluation images are no batch for a model, they have '
                f'{sorted(map(str, batch))} and no inputs: end the pipeline of '
                f'{split}_dataloader.dataset with PackInputs, or PackDetInputs (mmdet)'
            )
        with foreign_errors(
            f'the float model cannot predict the first {split} image',
            f'model, data_preprocessor and {split}_dataloader have to fit each other',
        ):
            outputs = model.test_step(batch)
        names = ', '.join(type(metric).__name__ for metric in evaluator.metrics)
        with foreign_errors(
            f'the metrics of {split}_evaluator ({names}) cannot take what the model '
            f'predicts of the {split} data',
            'name one that fits model and data set',
        ):
            evaluator.process(data_samples=outputs, data_batch=batch)
        check_annotations(evaluator, loader.dataset, split)


@contextmanager
def random_states_kept() -> Iterator[None]:
    """Restore the states of the random generators when the block ends."""
    states = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
