"""The images that calibration sees: of the training split, never the test's."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from mmengine import dist
from mmengine.config import Config
from mmengine.dataset import worker_init_fn
from mmengine.registry import DATASETS
from mmengine.registry import FUNCTIONS as COLLATE_FUNCTIONS
from torch.utils.data import DataLoader, Subset

from ..calibration.config import ConfigError, QuantizationConfig

_IDENTITY = ('data_root', 'ann_file', 'data_prefix', 'split', 'indices')


def build_calibration_dataloader(
    cfg: Config, quantization: QuantizationConfig, seed: int
) -> DataLoader:
    """The dataloader of the calibration images.

    By default these are a random choice from the training dataset, seen through
    the pipeline of the test dataset; ``calibration.dataloader`` replaces both.
    Each rank gets whole batches, consecutive ones: what a batch holds, and with
    it every bit of what is recorded, does not depend on the number of ranks.

    Args:
        cfg: The whole config.
        quantization: What to quantize.
        seed: Decides which images are taken.

    Raises:
        ConfigError: If there is no dataset, no file of it, no image in it, fewer
            batches than ranks, or it is the dataset that the evaluation uses.
    """
    calibration = quantization.calibration
    given = calibration.dataloader
    loader = copy.deepcopy(given) if given else _training_images(cfg)
    dataset: Any = loader.get('dataset')
    if not dataset:
        raise ConfigError(
            'quantization.calibration.dataloader has no dataset: give it one, or leave '
            'it out to calibrate on train_dataloader'
        )
    if isinstance(dataset, Mapping):
        _refuse_evaluation_split(cfg, dataset)
    with explained('the calibration images'):
        if isinstance(dataset, Mapping):
            dataset = DATASETS.build(dataset)
        if hasattr(dataset, 'full_init'):
            dataset.full_init()
    count = min(calibration.num_images, len(dataset))
    if count == 0:
        raise ConfigError(
            'the calibration set is empty: check data_root, ann_file and data_prefix '
            'of quantization.calibration.dataloader or train_dataloader'
        )
    workers = loader.get('num_workers', 0)
    return DataLoader(
        Subset(dataset, _chosen(len(dataset), count, seed)),
        batch_sampler=_batches_of_this_rank(count, calibration.batch_size),
        num_workers=workers,
        collate_fn=_collate(loader.get('collate_fn')),
        worker_init_fn=functools.partial(
            worker_init_fn, num_workers=workers, rank=0, seed=seed
        ),
    )


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Say what a dataset was for and what to do when it cannot be built."""
    try:
        yield
    except Exception as error:  # each kind of dataset raises its own
        advice = 'check data_root, ann_file and data_prefix of the dataset'
        if 'unexpected keyword argument' in str(error):
            advice = (
                'what another dataset in a base config has is dropped by '
                'dataset=dict(_delete_=True, type=...)'
            )
        raise ConfigError(
            f'{what} cannot be read, or there are none ({error}): {advice}'
        ) from error


def _chosen(total: int, count: int, seed: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return sorted(torch.randperm(total, generator=generator)[:count].tolist())


def _batches_of_this_rank(count: int, size: int) -> list[list[int]]:
    """Consecutive batches out of those that a single process would see."""
    batches = [list(range(i, min(i + size, count))) for i in range(0, count, size)]
    rank, ranks = dist.get_dist_info()
    if len(batches) < ranks:
        raise ConfigError(
            f'{count} calibration images in batches of {size} leave some of {ranks} '
            'processes without any: use more images (quantization.calibration.'
            'num_images), a smaller batch_size, or fewer processes'
        )
    return batches[len(batches) * rank // ranks : len(batches) * (rank + 1) // ranks]


def _collate(cfg: Mapping[str, Any] | None) -> Callable:
    """The collate function of a dataloader config, with mmengine's default."""
    arguments = dict(cfg or {'type': 'pseudo_collate'})
    kind = arguments.pop('type')
    function = COLLATE_FUNCTIONS.get(kind) if isinstance(kind, str) else kind
    if function is None:
        raise ConfigError(f"there is no collate function '{kind}'")
    return functools.partial(function, **arguments)


def _training_images(cfg: Config) -> dict[str, Any]:
    """The training dataset with the test pipeline, as a dataloader config."""
    evaluation = cfg.get('test_dataloader') or cfg.get('val_dataloader')
    if not cfg.get('train_dataloader') or not evaluation:
        raise ConfigError(
            'there is nothing to calibrate on: give train_dataloader and '
            'test_dataloader, or quantization.calibration.dataloader'
        )
    dataset = copy.deepcopy(_innermost(cfg.train_dataloader.dataset))
    dataset['pipeline'] = copy.deepcopy(_innermost(evaluation.dataset)['pipeline'])
    # Images without objects show activations like any others.
    dataset.pop('filter_cfg', None)
    dataset['test_mode'] = True
    loader = {'dataset': dataset}
    for key in ('num_workers', 'collate_fn'):
        if key in evaluation:
            loader[key] = evaluation[key]
    return loader


def _innermost(dataset: Any) -> Any:
    """The (first) dataset inside wrappers that repeat, concatenate or balance."""
    while 'dataset' in dataset or 'datasets' in dataset:
        dataset = dataset.get('dataset') or dataset['datasets'][0]
    return dataset


def _refuse_evaluation_split(cfg: Config, dataset: Mapping[str, Any]) -> None:
    mine = _identity(dataset)
    for key in ('test_dataloader', 'val_dataloader'):
        other = (cfg.get(key) or {}).get('dataset')
        if isinstance(other, Mapping) and _identity(other) == mine:
            raise ConfigError(
                f'calibration would see the images of the evaluation ({key}): give '
                'another split in quantization.calibration.dataloader'
            )


def _identity(dataset: Mapping[str, Any]) -> list[str]:
    """What tells the images of a dataset from others'."""
    inner = _innermost(dataset)
    return [str(inner.get(key) or '') for key in _IDENTITY]
