"""The dataloader of the calibration images."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

from mmengine.logging import print_log
from torch.utils.data import DataLoader

from ...calibration.config import ConfigError
from .uniform import UniformImages


class CalibrationLoader(DataLoader):
    """Batches of the images that calibrate.

    The first time that all of them pass, it warns where they show nothing. Mistakes
    that worker processes find are raised as if there were none.
    """

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Go through the batches.

        Raises:
            ConfigError: If an image cannot be read.
        """
        seen = None if getattr(self, '_all_seen', False) else UniformImages()
        try:
            for batch in super().__iter__():
                if seen:
                    seen.look(batch)
                yield batch
        except ConfigError as error:
            raise _without_trace(error) from None
        if seen:
            self._all_seen = True
            if warning := seen.warning():
                print_log(warning, 'current', logging.WARNING)


def _without_trace(error: ConfigError) -> ConfigError:
    """A mistake without the trace that torch puts around it in a worker."""
    last = re.split(r'\n(?:[\w.]+\.)?(?:Config|BrokenImage)Error: ', str(error))[-1]
    return ConfigError(last.strip())
