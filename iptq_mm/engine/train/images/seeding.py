"""Training images whose order and augmentation depend on their position alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from mmengine import dist
from mmengine.dataset import InfiniteSampler
from torch.utils.data import DataLoader, Dataset, IterableDataset

#: An image of a data set, and the seed of its augmentation.
Seeded = tuple[int, int]


def seed_random(*numbers: int) -> None:
    """Seed all random generators of this process by some numbers."""
    a, b = np.random.SeedSequence(numbers).generate_state(2).tolist()
    random.seed(a)
    np.random.seed(b)
    torch.manual_seed(a << 32 | b)


class SeededImages(Dataset):
    """A data set that is asked for an image together with a seed.

    The seed alone decides how the pipeline augments the image: not the worker process
    that reads it, and not what was read before it. So a run that goes on in the middle
    of an epoch sees the same images as one without a break.

    Args:
        dataset: The data set.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __getattr__(self, name: str) -> Any:
        """Attributes of the data set."""
        if name == 'dataset':  # while it is unpickled
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, place: Seeded) -> Any:
        """The sample of an image."""
        index, seed = place
        seed_random(seed)
        return self.dataset[index]


class SeededBatches:
    """The batches of a batch sampler, with a seed for every image.

    An image has the same seed for any number of processes that share an epoch in the
    way of mmengine's samplers (process ``r`` of ``n`` has images ``r, r + n, ...``).

    Args:
        batches: The batch sampler.
        seed: Of the run.

    Attributes:
        epoch: The next one.
    """

    def __init__(self, batches: Any, seed: int) -> None:
        self._batches = batches
        self._seed = seed
        self._first = 0
        self.epoch = 0

    @property
    def sampler(self) -> Any:
        """The sampler of the images, where mmengine looks for it."""
        return self._batches.sampler

    @property
    def batch_size(self) -> Any:
        """Images in a batch."""
        return getattr(self._batches, 'batch_size', None)

    def __len__(self) -> int:
        return len(self._batches)

    def skip(self, count: int) -> None:
        """Leave out the first batches of a training; they are not even read."""
        endless = isinstance(self.sampler, InfiniteSampler)
        if endless or hasattr(self.sampler, 'skip'):
            self._first = count
        else:
            self.epoch, self._first = divmod(count, len(self))

    def __iter__(self) -> Iterator[list[Seeded]]:
        epoch, first = self.epoch, self._first
        self.epoch, self._first = epoch + 1, 0
        if hasattr(self.sampler, 'set_epoch'):
            self.sampler.set_epoch(epoch)
        rank, ranks = dist.get_dist_info()
        seen = 0
        for number, batch in enumerate(self._batches):
            places = range(seen, seen + len(batch))
            seen += len(batch)
            if number >= first:
                yield [
                    (index, self._seed_of(epoch, place * ranks + rank))
                    for place, index in zip(places, batch, strict=True)
                ]

    def _seed_of(self, epoch: int, place: int) -> int:
        state = np.random.SeedSequence((self._seed, epoch, place)).generate_state(1)
        return int(state[0])


def seeded(loader: DataLoader, seed: int) -> DataLoader:
    """A data loader of the same batches, whose images are augmented by their seeds.

    Args:
        loader: Of the training. One without batches of indices is returned as it is.
        seed: Of the run.
    """
    if isinstance(loader.dataset, IterableDataset) or loader.batch_sampler is None:
        return loader
    return DataLoader(
        SeededImages(loader.dataset),
        batch_sampler=SeededBatches(loader.batch_sampler, seed),  # type: ignore
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
        timeout=loader.timeout,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
        prefetch_factor=loader.prefetch_factor,
        persistent_workers=loader.persistent_workers,
    )
