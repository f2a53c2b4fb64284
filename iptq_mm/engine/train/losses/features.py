"""Distillation of any model: the outputs of the regions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ....calibration import ConfigError
from ....registry import TRAINING_LOSSES
from .base import Step, TrainingLoss

#: Power of an output that is taken for zero.
_SMALLEST = 1e-12


@TRAINING_LOSSES.register_module('features')
class FeatureLoss(TrainingLoss):
    """Squared error of what leaves the regions, over the power of the float outputs.

    Needs no labels. Each output (each level of a pyramid) counts alike. Regions that
    run on the whole image get what the trained regions before them made. Those that
    run on proposals get the inputs of the float model, so that both speak of the same
    boxes.

    Args:
        weight: Its factor in the sum.
        regions: Names of the regions whose outputs count; None: all.
    """

    def __init__(
        self, weight: float = 1.0, regions: Sequence[str] | None = None
    ) -> None:
        super().__init__(weight)
        self.regions = regions

    def __call__(self, step: Step) -> dict[str, Tensor]:
        """See the base class."""
        theirs = step.teacher()
        errors = []
        for name in step.regions if self.regions is None else self.regions:
            if name not in step.regions:
                raise ConfigError(
                    f"qat.loss: there is no region '{name}' to compare features of; "
                    f'there are {sorted(step.regions)}'
                )
            alike = name in step.dense
            ours = step.trained()[name] if alike else step.replayed(name)
            # In its own loss, a model may call a dense region once more. A region is
            # not called at all where there are no proposals.
            for mine, other in zip(ours, theirs.get(name, ()), strict=False):
                errors += [
                    _error(a, b, step.images)
                    for a, b in zip(mine.outputs, other.outputs, strict=True)
                    if b.numel()
                ]
        if not errors:  # no proposals
            return {}
        return {'loss_features': torch.stack(errors).mean()}


def _error(ours: Tensor, theirs: Tensor, images: int) -> Tensor:
    """Relative squared error: of each image, then their mean; of boxes, in one."""
    if ours.shape != theirs.shape:
        raise ConfigError(
            f'a region gives {tuple(ours.shape)} where the float one gives '
            f"{tuple(theirs.shape)}: features cannot be compared, use 'labels'"
        )
    rows = images if len(theirs) == images else 1
    theirs = theirs.reshape(rows, -1)
    lost = (ours.reshape(rows, -1) - theirs).square().sum(1)
    return (lost / theirs.square().sum(1).clamp_min(_SMALLEST)).mean()
