"""The dataloader of the calibration images."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from torch.utils.data import DataLoader

from ...calibration.config import ConfigError


class CalibrationLoader(DataLoader):
    """Batches of the images that calibrate.

    Mistakes that worker processes find are raised as if there were none.

    Attributes:
        positions: Those of the images of all ranks in the dataset, ascending.

    Args:
        dataset: Calibration images.
        batches: For each batch of this rank, the positions of its images.
        positions: See the attribute; None: all there are.
        **options: Of ``DataLoader``.
    """

    def __init__(
        self,
        dataset: Any,
        batches: Sequence[Sequence[int]],
        positions: Sequence[int] | None = None,
        **options: Any,
    ) -> None:
        self._batches = [list(batch) for batch in batches]
        super().__init__(dataset, batch_sampler=self._batches, **options)
        self.positions = [*range(len(dataset))] if positions is None else [*positions]
        self._options = options

    def only(self, positions: Sequence[int]) -> CalibrationLoader:
        """Batches without all other images, which are not read.

        Args:
            positions: Of the images of all ranks, ascending.
        """
        wanted = set(positions)
        found = [[i for i in batch if i in wanted] for batch in self._batches]
        rest = [batch for batch in found if batch]
        return CalibrationLoader(self.dataset, rest, positions, **self._options)

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
