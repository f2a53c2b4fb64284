"""Flags at the answers of an integer model, in any loop of mmengine."""

from __future__ import annotations

import logging
from typing import Any

from mmengine import dist
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from ...guarantee import FlagAlarm, flag_alarm
from ...models import Flags, GuardedClassifier
from ...registry import HOOKS
from ..loading.models import unwrapped


@HOOKS.register_module()
class FlagHook(Hook):
    """Gives predictions the fields ``margin`` and ``flagged``, and raises an alarm.

    ``tools/quantize.py`` writes it to ``custom_hooks`` of ``integer.py`` if
    ``quantization.guarantee`` asks for a guarantee. At the end of a test, the log says
    how many answers were flagged, and warns if these are more than chance explains for
    images like those that were held out.

    Args:
        guarantee: As ``results.json`` has it.

    Attributes:
        alarm: Of the last test or validation, over all processes; None before.
    """

    def __init__(self, guarantee: dict) -> None:
        self._guarantee = dict(guarantee)
        self._flags: Flags | None = None
        self._counts = [0, 0]
        self.alarm: FlagAlarm | None = None

    def before_test_epoch(self, runner: Runner) -> None:
        """Begin."""
        self._counts, self.alarm = [0, 0], None
        model = unwrapped(runner.model)
        if isinstance(model, GuardedClassifier):  # which flags by itself
            return
        try:
            self._flags = Flags(model, self._guarantee)
        except ValueError as error:  # test-time augmentation, for instance
            print_log(f'no answer is flagged: {error}', 'current', logging.WARNING)

    before_val_epoch = before_test_epoch

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Count the flags of a batch."""
        marked = [s for s in outputs or () if hasattr(s, 'flagged')]
        self._counts[0] += sum(s.flagged for s in marked)
        self._counts[1] += len(marked)

    after_val_iter = after_test_iter

    def after_test_epoch(self, runner: Runner, metrics: Any = None) -> None:
        """Compare the number of flags with that of the held-out images."""
        self.finish()

    after_val_epoch = after_test_epoch

    def finish(self) -> FlagAlarm:
        """End the flags of a test, if they have not ended, and compare their number.

        All processes have to call it.
        """
        if self.alarm is not None:
            return self.alarm
        if self._flags is not None:
            self._flags.remove()
            self._flags = None
        counts = dist.all_gather_object(self._counts)
        flagged, images = (sum(c[i] for c in counts) for i in range(2))
        told = self._guarantee
        self.alarm = flag_alarm(flagged, images, told['flagged'], told['images'])
        if images:
            log_alarm(self.alarm, told)
        return self.alarm


def log_alarm(alarm: FlagAlarm, guarantee: dict) -> None:
    """Log how many answers were flagged, as a warning if there are too many."""
    text = (
        f'{alarm.flagged} of {alarm.images} answers have a flag, of the held-out '
        f'images {guarantee["flagged"]} of {guarantee["images"]}'
    )
    if alarm.raised:
        text += (
            f' (chance of as many, were the images alike: {alarm.probability:.1e}): '
            'these images are not like those that calibrated, and the guarantee does '
            'not hold for them'
        )
    level = logging.WARNING if alarm.raised else logging.INFO
    print_log(text, 'current', level)
