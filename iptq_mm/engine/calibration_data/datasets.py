"""Data sets of a config: built, and what is said where that fails."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mmengine.registry import DATASETS

from ...calibration.config import ConfigError
from .nodes import leaf_nodes

#: How constructors refuse an argument that belongs to another data set.
_MISFITS = (
    r"unexpected keyword argument '(\w+)'",
    r"multiple values for (?:keyword )?argument '(\w+)'",
    r"[Tt]he '?(split)'? must be one of",
    r"'(split)' of `\w+` must be one of",
)


@contextmanager
def explained(what: str, dataset: Any = None) -> Iterator[None]:
    """Say what a dataset was for and what to do when it cannot be built.

    Args:
        what: What it was for.
        dataset: Its config, if it shall be named.

    Raises:
        ConfigError: In the place of whatever the dataset raises.
    """
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:  # each kind of dataset raises its own
        for misfit in _MISFITS:
            if found := re.search(misfit, str(error)):
                raise ConfigError(
                    f"{what} cannot be read, because '{found.group(1)}' does not fit "
                    f'{_kinds(dataset)} ({error}). Configs inherit key by key: if it '
                    "stems from the base config's data set, write "
                    'dataset=dict(_delete_=True, type=..., ...)'
                ) from error
        raise ConfigError(
            f'{what} cannot be read, or there are none ({error}): check data_root, '
            'ann_file and data_prefix of the dataset'
        ) from error


def _kinds(dataset: Any) -> str:
    kinds = (
        node.get('type') for node in leaf_nodes(dataset) if isinstance(node, Mapping)
    )
    names = {k if isinstance(k, str) else getattr(k, '__name__', '') for k in kinds}
    return ', '.join(sorted(names)) or 'their data set'


def is_given(loader: Any) -> bool:
    """Whether there is a dataloader, built or a config of one."""
    return bool(loader) if isinstance(loader, Mapping) else loader is not None


def dataset_of(loader: Any) -> Any:
    """The dataset of a dataloader or of its config, as it is given there."""
    if isinstance(loader, Mapping):
        return loader.get('dataset')
    return getattr(loader, 'dataset', None)


def options_of(loader: Any) -> dict[str, Any]:
    """Options of a dataloader, or of its config, for fetching samples."""
    names = ('num_workers', 'collate_fn')
    if isinstance(loader, Mapping):
        return {name: loader[name] for name in names if name in loader}
    return {name: getattr(loader, name) for name in names if hasattr(loader, name)}


def built(dataset: Any) -> Any:
    """A dataset that knows its images, from a config or from one that may not yet."""
    if isinstance(dataset, Mapping):
        dataset = DATASETS.build(dataset)
    if hasattr(dataset, 'full_init'):
        dataset.full_init()
    return dataset
