"""The images that calibration sees: of the training split, never the test's."""

from __future__ import annotations

import copy
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.runner import Runner
from torch.utils.data import DataLoader, Subset

from ..calibration.config import ConfigError, QuantizationConfig


def build_calibration_dataloader(
    cfg: Config, quantization: QuantizationConfig, seed: int
) -> DataLoader:
    """The dataloader of the calibration images.

    By default these are a random choice from the training dataset, seen through
    the pipeline of the test dataset; ``calibration.dataloader`` replaces both.

    Args:
        cfg: The whole config.
        quantization: What to quantize.
        seed: Decides which images are taken.

    Raises:
        ConfigError: If there is no dataset, no image in it, or it is the one that
            the evaluation uses.
        FileNotFoundError: If its files are missing.
    """
    calibration = quantization.calibration
    loader = copy.deepcopy(calibration.dataloader) or _training_images(cfg)
    loader = Config(loader)._cfg_dict if not isinstance(loader, dict) else loader
    _refuse_evaluation_split(cfg, loader)
    dataset: Any = loader.get('dataset')
    if isinstance(dataset, dict):
        from mmengine.registry import DATASETS

        dataset = DATASETS.build(dataset)
    if isinstance(dataset, BaseDataset):
        dataset.full_init()
    count = min(calibration.num_images, len(dataset))
    if count == 0:
        raise ConfigError(
            'the calibration set is empty: check data_root, ann_file and data_prefix '
            'of quantization.calibration.dataloader or train_dataloader'
        )
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(dataset), generator=generator)[:count].tolist()
    return Runner.build_dataloader(
        dict(
            dataset=Subset(dataset, sorted(chosen)),
            batch_size=calibration.batch_size,
            num_workers=loader.get('num_workers', 0),
            sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
            collate_fn=loader.get('collate_fn', cfg.test_dataloader.get('collate_fn'))
            or dict(type='default_collate'),
        ),
        seed=seed,
    )


def _training_images(cfg: Config) -> dict[str, Any]:
    """The training dataset with the test pipeline, as a dataloader config."""
    if not cfg.get('train_dataloader') or not cfg.get('test_dataloader'):
        raise ConfigError(
            'there is nothing to calibrate on: give train_dataloader and '
            'test_dataloader, or quantization.calibration.dataloader'
        )
    dataset = copy.deepcopy(cfg.train_dataloader.dataset)
    while 'dataset' in dataset or 'datasets' in dataset:  # wrappers: repeat, concat
        dataset = dataset.get('dataset') or dataset['datasets'][0]
    test = cfg.test_dataloader.dataset
    while 'pipeline' not in test and 'dataset' in test:
        test = test.dataset
    dataset.pipeline = copy.deepcopy(test.pipeline)
    # Images without objects show activations like any others.
    dataset.pop('filter_cfg', None)
    dataset.test_mode = True
    loader = {'dataset': dataset}
    for key in ('num_workers', 'collate_fn'):
        if key in cfg.test_dataloader:
            loader[key] = cfg.test_dataloader[key]
    return loader


def _refuse_evaluation_split(cfg: Config, loader: dict[str, Any]) -> None:
    test = (cfg.get('test_dataloader') or {}).get('dataset')
    mine = loader.get('dataset')
    if not isinstance(mine, dict) or not isinstance(test, dict):
        return
    identity = [
        tuple(str(d.get(k)) for k in ('data_root', 'ann_file', 'data_prefix', 'split'))
        for d in (mine, test)
    ]
    if identity[0] == identity[1]:
        raise ConfigError(
            'calibration would see the images of the evaluation: give another split in '
            'quantization.calibration.dataloader'
        )
