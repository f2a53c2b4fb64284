"""The settings and the images of a study."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.registry import DATASETS
from torch.utils.data import DataLoader

from ...calibration import ConfigError, QuantizationConfig
from ...registry import FUNCTIONS
from ..calibration_data import explained
from ..quantize.progress import progress_of
from ..quantize.settings import read_settings
from .measurements import Images


class Batches(NamedTuple):
    """The images to measure on.

    Attributes:
        numbers: Of the images of each batch.
        loader: The batches.
    """

    numbers: list[Images]
    loader: DataLoader

    def each(self, phase: str) -> Iterator[tuple[Images, Any]]:
        """Go through numbers and batches, with progress."""
        total = len(self.numbers)
        return zip(self.numbers, progress_of(self.loader, phase, total), strict=True)


def study_settings(cfg: Config, literal: bool, draws: int = 1) -> QuantizationConfig:
    """The quantization of a config, with gradients and literal candidates.

    Args:
        cfg: The whole config.
        literal: Whether the literal forms of its candidates join them.
        draws: Passes backward for a batch.

    Raises:
        ConfigError: If it is no valid quantization.
    """
    if any(o.function or o.keep_float for o in read_settings(cfg).overrides):
        raise ConfigError(
            'a study tries all candidates at every site: take functions and keep_float '
            'out of quantization.overrides'
        )
    given = {k: list(v.values()) for k, v in read_settings(cfg).candidates.items()}
    for functions in given.values() if literal else ():
        for function in list(functions):
            known = inspect.signature(FUNCTIONS.get(function['type'])).parameters
            form = {**function, 'literal': True}
            if 'literal' in known and form not in functions:
                functions.append(form)
    quantization = dict(cfg.get('quantization') or {})
    for key in ('candidates', 'equalization'):
        quantization.pop(key, None)
    quantization['criterion'] = dict(type='output_error', draws=draws)
    # Ranges for certain functions would put all others at a disadvantage.
    stages = dict(recalibrate=None, function_ranges=None)
    quantization['calibration'] = {**quantization.get('calibration', {}), **stages}
    return QuantizationConfig.from_dict(quantization, given)


def study_batches(
    cfg: Config,
    settings: QuantizationConfig,
    calibration: DataLoader,
    images: int,
    split: str,
    seed: int,
) -> Batches:
    """Images to measure on. The first of many images are the same as of few.

    Args:
        cfg: The whole config.
        settings: Has the size of a batch.
        calibration: The loader of the calibration images.
        images: How many.
        split: ``calibration`` or ``val``.
        seed: Decides which ones.

    Raises:
        ConfigError: If there are not enough.
    """
    subset: Any = calibration.dataset
    dataset, taken = subset.dataset, set(subset.indices)
    if split == 'val':
        with explained('the evaluation images'):
            dataset, taken = DATASETS.build(cfg.test_dataloader.dataset), set()
    elif split != 'calibration':
        raise ConfigError(f"split is 'calibration' or 'val', not {split!r}")
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(dataset), generator=generator).tolist()
    rest = [i for i in order if i not in taken]
    if not 0 < images <= len(rest):
        raise ConfigError(
            f'{images} images to measure on: the dataset has {len(rest)} that '
            'calibration does not use'
        )
    size = settings.calibration.batch_size
    batches = [rest[i : min(i + size, images)] for i in range(0, images, size)]
    loader = DataLoader(
        dataset, batch_sampler=batches, collate_fn=calibration.collate_fn
    )
    return Batches([tuple(batch) for batch in batches], loader)
