"""The dataloader of the calibration images."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader

from ...calibration.config import ConfigError


class CalibrationLoader(DataLoader):
    """Batches of the images that calibrate.

    Mistakes that worker processes find are raised as if there were none.
    """

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Go through the batches.

        Raises:
            ConfigError: If an image cannot be read.
        """
        try:
            yield from super().__iter__()
        except ConfigError as error:
            raise _without_trace(error) from None


def _without_trace(error: ConfigError) -> ConfigError:
    """A mistake without the trace that torch puts around it in a worker."""
    last = re.split(r'\n(?:[\w.]+\.)?(?:Config|BrokenImage)Error: ', str(error))[-1]
    return ConfigError(last.strip())
