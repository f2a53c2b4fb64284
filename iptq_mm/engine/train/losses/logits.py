"""Distillation of classifiers: the classes that the float model predicts."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import kl_div, log_softmax

from ....calibration import ConfigError
from ....registry import TRAINING_LOSSES
from ..passes import HEAD, Calls
from .base import Step, TrainingLoss


@TRAINING_LOSSES.register_module('logits')
class LogitLoss(TrainingLoss):
    """Kullback-Leibler divergence of the classes from those of the float model.

    Needs no labels. With a temperature ``T``, logits are divided by ``T`` and the loss
    is multiplied by ``T**2`` (Hinton et al., arXiv 1503.02531).

    Args:
        weight: Its factor in the sum.
        temperature: ``T``.
    """

    def __init__(self, weight: float = 1.0, temperature: float = 1.0) -> None:
        super().__init__(weight)
        if not temperature > 0:
            raise ValueError(f'temperature={temperature}: use a positive number')
        self.temperature = temperature

    def __call__(self, step: Step) -> dict[str, Tensor]:
        """See the base class."""
        t = self.temperature
        ours, theirs = _logits(step.trained()), _logits(step.teacher())
        divergence = kl_div(
            log_softmax(ours / t, -1),
            log_softmax(theirs / t, -1),
            reduction='batchmean',
            log_target=True,
        )
        return {'loss_logits': divergence * t * t}


def _logits(calls: dict[str, Calls]) -> Tensor:
    outputs = calls[HEAD][0].outputs if calls.get(HEAD) else []
    if len(outputs) != 1 or outputs[0].dim() != 2:
        raise ConfigError(
            "qat.loss='logits' wants a classifier whose head gives one row of logits "
            "for each image; use 'features' or 'labels' for this model"
        )
    return outputs[0]
