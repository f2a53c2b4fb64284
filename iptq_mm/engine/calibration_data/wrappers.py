"""Data sets around data sets: those that repeat, concatenate, select or mix."""

from __future__ import annotations

import copy
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Any

from mmengine.dataset import BaseDataset, ClassBalancedDataset, RepeatDataset
from torch.utils.data import ConcatDataset, Dataset, Subset

#: They show every image of what they wrap, some of them several times.
_REPEATING = (RepeatDataset, ClassBalancedDataset)


def members(dataset: Any) -> list[Any]:
    """The datasets that a wrapper wraps; none if it is no wrapper."""
    if isinstance(dataset, BaseDataset):  # which wrappers never are
        return []
    several = getattr(dataset, 'datasets', None)
    if isinstance(several, list | tuple) and several and all(map(is_dataset, several)):
        return list(several)
    single = getattr(dataset, 'dataset', None)
    if not is_dataset(single):
        return []
    # A dataset that makes samples of what another one, of another library, holds.
    own = hasattr(dataset, 'pipeline') and not hasattr(single, 'pipeline')
    return [] if own and not members(single) else [single]


def is_dataset(dataset: Any) -> bool:
    """Whether an object is a built dataset, of torch or mmengine."""
    return isinstance(dataset, Dataset) or hasattr(dataset, 'full_init')


def leaves(dataset: Any) -> Iterator[Any]:
    """The datasets at the bottom, which read images themselves."""
    inside = members(dataset)
    for member in inside:
        yield from leaves(member)
    if not inside:
        yield dataset


def unrepeated(dataset: Any) -> Any:
    """The dataset inside the outer wrappers that only repeat images."""
    while isinstance(dataset, _REPEATING):
        dataset = dataset.dataset
    return dataset


def located(dataset: Any, index: int) -> tuple[Any, int]:
    """Where a wrapper has an image from: a dataset inside it, and the index there.

    It goes as deep as the wrappers are known; what others select stays theirs.
    """
    if isinstance(dataset, Subset):
        return located(dataset.dataset, dataset.indices[index])
    if isinstance(dataset, ConcatDataset):
        number = bisect_right(dataset.cumulative_sizes, index)
        before = dataset.cumulative_sizes[number - 1] if number else 0
        return located(dataset.datasets[number], index - before)
    if isinstance(dataset, _REPEATING):
        return located(dataset.dataset, dataset._get_ori_dataset_idx(index))
    return dataset, index


def changed(dataset: Any, change: Callable[[Any], None]) -> Any:
    """A copy whose :func:`leaves` are changed; the given one keeps its own.

    Annotations are shared. Wrappers that process samples, too (mosaics of several
    images), no longer do.
    """
    dataset, inside = copy.copy(dataset), members(dataset)
    if not inside:
        change(dataset)
        return dataset
    if isinstance(getattr(dataset, 'pipeline', None), list):
        dataset.pipeline = []
    inside = [changed(member, change) for member in inside]
    if isinstance(getattr(dataset, 'datasets', None), list | tuple):
        dataset.datasets = inside
    else:
        dataset.dataset = inside[0]
    return dataset
