"""The model's own loss, from labels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ....calibration import ConfigError
from ....registry import TRAINING_LOSSES
from .base import Step, TrainingLoss


@TRAINING_LOSSES.register_module('labels')
class LabelLoss(TrainingLoss):
    """What the model minimizes in mm's own training, detectors included."""

    needs_labels = True

    def __call__(self, step: Step) -> dict[str, Tensor]:
        """See the base class."""
        return {name: _number(name, value) for name, value in step.own_losses().items()}


def _number(name: str, value: Any) -> Tensor:
    """A loss as mmengine's ``parse_losses`` has it: means, added up."""
    parts = value if isinstance(value, list | tuple) else [value]
    if not parts or not all(isinstance(part, Tensor) for part in parts):
        raise ConfigError(
            f"the model's own loss '{name}' is {type(value).__name__}, no tensor"
        )
    return torch.stack([part.mean() for part in parts]).sum()
