"""Flags at the answers of a quantized classifier whose margin is too small."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ...guarantee import FlagAlarm, Guarantee, flag_alarm
from ...guarantee.answers import margins_of
from .logits import logits_of


class Flags:
    """Flags the answers of a model, from now on, and counts them.

    Each data sample that the model predicts gets two fields: ``margin``, by how much
    its largest integer logit exceeds the second, and ``flagged``, whether that is less
    than the guarantee wants. Example::

        flags = Flags(model, guarantee)
        samples = model.test_step(batch)
        samples[0].margin, samples[0].flagged
        flags.alarm().raised  # the images are not like those of the calibration

    Args:
        model: A quantized classifier, without its wrapper for several processes.
        guarantee: What holds for it; as a dict, what ``results.json`` and
            ``integer.py`` hold.

    Attributes:
        images: Answers so far.
        flagged: How many of them are flagged.

    Raises:
        ValueError: If no region of the model returns its logits.
    """

    def __init__(
        self, model: nn.Module, guarantee: Guarantee | Mapping[str, Any]
    ) -> None:
        if not isinstance(guarantee, Guarantee):
            guarantee = Guarantee.from_dict(guarantee)
        self.guarantee = guarantee
        self.images = self.flagged = 0
        self._logits, handle = logits_of(model)
        self._handles = [handle, model.register_forward_hook(self._mark)]

    def _mark(self, model: nn.Module, args: Any, output: Any) -> None:
        if not isinstance(output, list | tuple) or not output:
            return
        if not hasattr(output[0], 'set_field'):
            return
        margins = margins_of(self._logits.integers(self.guarantee.scale))
        self.flagged += mark(output, margins, self.guarantee.margin)
        self.images += len(output)

    def alarm(self) -> FlagAlarm:
        """Whether more is flagged than of the held-out images."""
        told = self.guarantee
        return flag_alarm(self.flagged, self.images, told.flagged, told.images)

    def remove(self) -> None:
        """Flag no more answers."""
        for handle in self._handles:
            handle.remove()


def mark(samples: Any, margins: Tensor, least: int) -> int:
    """Give data samples the fields ``margin`` and ``flagged``.

    Returns:
        How many are flagged.
    """
    for sample, margin in zip(samples, margins.tolist(), strict=True):
        sample.set_field(margin, 'margin')
        sample.set_field(margin < least, 'flagged')
    return int((margins < least).sum())
