"""The images that are evaluated, to recognize them among those that calibrate."""

from __future__ import annotations

import filecmp
import logging
from collections import defaultdict
from collections.abc import Hashable, Mapping
from typing import Any

from mmengine.logging import print_log

from .datasets import built, dataset_of, is_given
from .identity import Identity, identified

#: Files of one size that are compared by their bytes at most.
_COMPARED = 64


class EvaluatedImages:
    """All images of ``test_dataloader`` and ``val_dataloader``.

    Each is known by where it is stored, whatever path, wrapper or subset leads there,
    or by its contents where it is in memory. Nothing is decoded.

    Args:
        cfg: Holds the dataloaders. A dataset that cannot be built is left out, with
            a note: whoever evaluates on it says what is wrong with it.
    """

    def __init__(self, cfg: Mapping[str, Any]) -> None:
        self._stored: dict[Hashable, str] = {}
        self._digests: dict[bytes, str] = {}
        self._sizes: defaultdict[int, list[tuple[str, str]]] = defaultdict(list)
        self._configs: dict[str, Any] = {}
        for key in ('test_dataloader', 'val_dataloader'):
            loader = cfg.get(key)
            dataset = dataset_of(loader) if is_given(loader) else None
            if dataset is None:
                continue
            config = _images_alone(dataset)
            if all(config != other for other in self._configs.values()):
                self._add(key, dataset)
            self._configs[key] = config

    def _add(self, key: str, dataset: Any) -> None:
        try:
            dataset = built(dataset)
            count = len(dataset)
        except Exception as error:  # each kind of dataset raises its own
            print_log(
                f'{key}: its images cannot be compared with those that calibrate '
                f'({error})',
                'current',
                logging.WARNING,
            )
            return
        for index in range(count):
            image = identified(dataset, index)
            for place in image.stored:
                self._stored.setdefault(place, key)
            if image.digest:
                self._digests.setdefault(image.digest, key)
            for path, size in image.files:
                self._sizes[size].append((path, key))

    def storing(self, image: Identity) -> str:
        """The dataloader that has this very image, or an empty string."""
        return next((self._stored[p] for p in image.stored if p in self._stored), '')

    def equal(self, image: Identity) -> str:
        """The dataloader with an equal image in memory, or an empty string."""
        return self._digests.get(image.digest, '')

    def copied(self, image: Identity) -> str:
        """The dataloader with another file of the same bytes, or an empty string."""
        for path, size in image.files:
            for other, key in self._sizes.get(size, ())[:_COMPARED]:
                if _same_bytes(path, other):
                    return key
        return ''

    def same_config(self, dataset: Any) -> str:
        """The dataloader with a dataset of this config, or an empty string."""
        config = _images_alone(dataset)
        if not isinstance(config, Mapping):
            return ''
        return next((k for k, other in self._configs.items() if other == config), '')


def _same_bytes(path: str, other: str) -> bool:
    try:
        return filecmp.cmp(path, other, shallow=False)
    except OSError:
        return False


def _images_alone(dataset: Any) -> Any:
    """A dataset config without its pipelines, which do not choose images."""
    if isinstance(dataset, Mapping):
        return {k: _images_alone(v) for k, v in dataset.items() if k != 'pipeline'}
    if isinstance(dataset, list | tuple):
        return [_images_alone(v) for v in dataset]
    return dataset
