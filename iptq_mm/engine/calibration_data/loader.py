"""The dataloader of the calibration images."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from torch.utils.data import DataLoader, default_collate

from ...calibration.config import ConfigError
from .kept import KeptSamples


class CalibrationLoader(DataLoader):
    """Batches of the images that calibrate.

    Images are read once as long as :class:`~.kept.KeptSamples` has room. Mistakes that
    worker processes find are raised as if there were none.

    Attributes:
        positions: Those of the images of all ranks in the dataset, ascending.

    Args:
        dataset: Calibration images.
        batches: For each batch of this rank, the positions of its images.
        positions: See the attribute; None: all there are.
        kept: Samples that were read before; None: none yet.
        **options: Of ``DataLoader``.
    """

    def __init__(
        self,
        dataset: Any,
        batches: Sequence[Sequence[int]],
        positions: Sequence[int] | None = None,
        kept: KeptSamples | None = None,
        **options: Any,
    ) -> None:
        self._batches = [list(batch) for batch in batches]
        super().__init__(dataset, batch_sampler=self._batches, **options)
        self.positions = [*range(len(dataset))] if positions is None else [*positions]
        self._options = options
        self._kept = KeptSamples() if kept is None else kept

    def only(self, positions: Sequence[int]) -> CalibrationLoader:
        """Batches of no other images, as large as these; the others are not read.

        Args:
            positions: Of the images of all ranks, ascending.
        """
        wanted = set(positions)
        mine = [i for batch in self._batches for i in batch if i in wanted]
        size = max(map(len, self._batches), default=1)
        rest = [mine[i : i + size] for i in range(0, len(mine), size)]
        return CalibrationLoader(
            self.dataset, rest, positions, self._kept, **self._options
        )

    def first(self) -> CalibrationLoader:
        """The first image of this rank as the only batch."""
        return self.only(self._batches[0][:1])

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Go through the batches.

        Raises:
            ConfigError: If an image cannot be read.
        """
        collate = self._options.get('collate_fn') or default_collate
        missing = [batch for batch in self._batches if not self._kept.has(batch)]
        read = self._read(missing)
        unread = {id(batch) for batch in missing}
        for batch in self._batches:
            if id(batch) not in unread:
                yield collate([self._kept.get(position) for position in batch])
                continue
            samples = next(read)
            for position, sample in zip(batch, samples, strict=True):
                self._kept.keep(position, sample)
            yield collate(samples)

    def _read(self, batches: list[list[int]]) -> Iterator[list[Any]]:
        """The samples of some batches, by worker processes if there are any."""
        if not batches:
            return
        options = {**self._options, 'collate_fn': list}
        try:
            yield from DataLoader(self.dataset, batch_sampler=batches, **options)
        except ConfigError as error:
            raise _without_trace(error) from None


def _without_trace(error: ConfigError) -> ConfigError:
    """A mistake without the trace that torch puts around it in a worker."""
    last = re.split(r'\n(?:[\w.]+\.)?(?:Config|BrokenImage)Error: ', str(error))[-1]
    return ConfigError(last.strip())
