"""Measurements, kept one by one so that an interrupted study can be resumed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...utils.files import atomic_write

#: The images of a batch, by their number in the dataset.
Images = tuple[int, ...]


class Measurement(NamedTuple):
    """The effect of a choice of functions on predictions, by image.

    Attributes:
        error: Squared error of the logits.
        same: 1 where the predicted class is that of the float model, else 0.
    """

    error: list[float]
    same: list[int]


class Measurements:
    """Effects by name and images, in a file of JSON lines.

    Args:
        path: The file. What it holds of the same study is kept.
        key: What tells this study from another.

    Attributes:
        resumed: How many measurements the file had.
    """

    def __init__(self, path: str | os.PathLike, key: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self._measurements: dict[tuple[str, Images], Measurement] = {}
        lines = (
            self.path.read_text(encoding='utf-8').splitlines()
            if self.path.exists()
            else []
        )
        kept = [json.dumps(dict(key), sort_keys=True)]
        if lines and lines[0] == kept[0]:
            for line in lines[1:]:
                try:
                    row = json.loads(line)
                except ValueError:  # the last one, cut by an interruption
                    break
                measurement = Measurement(row['error'], row['same'])
                self._measurements[row['name'], tuple(row['images'])] = measurement
                kept.append(line)
        self.resumed = len(self._measurements)
        atomic_write(self.path, '\n'.join(kept) + '\n')

    def __contains__(self, name_and_images: tuple[str, Images]) -> bool:
        """Whether an measurement was measured."""
        return name_and_images in self._measurements

    def add(self, name: str, images: Images, measurement: Measurement) -> None:
        """Keep an measurement, in the file at once."""
        self._measurements[name, images] = measurement
        row = {'name': name, 'images': images, **measurement._asdict()}
        with open(self.path, 'a') as file:
            file.write(json.dumps(row) + '\n')

    def over(self, name: str, batches: Sequence[Images]) -> Measurement:
        """The measurement on the images of several batches.

        Raises:
            KeyError: If it was not measured on all of them.
        """
        parts = [self._measurements[name, images] for images in batches]
        return Measurement(
            [e for part in parts for e in part.error],
            [s for part in parts for s in part.same],
        )
