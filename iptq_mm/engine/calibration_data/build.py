"""From a config to the dataloader of its calibration images."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from mmengine import dist
from mmengine.dataset import worker_init_fn
from mmengine.registry import FUNCTIONS as COLLATE_FUNCTIONS
from torch.utils.data import DataLoader, Subset

from ...calibration.config import ConfigError, QuantizationConfig
from .choice import Choice, choose
from .datasets import built, dataset_of, explained, is_given, options_of
from .description import describe_calibration, log_description
from .evaluated import EvaluatedImages
from .loader import CalibrationLoader
from .mirrored import WithMirrored
from .reading import CalibrationImages
from .training_set import training_images

_LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def build_calibration_dataloader(
    cfg: Mapping[str, Any], quantization: QuantizationConfig, seed: int
) -> CalibrationLoader:
    """The dataloader of the calibration images.

    By default these are a random choice from the whole training dataset, seen
    through the pipeline of the test dataset; ``calibration.dataloader`` replaces
    both. No image of the evaluation is among them, however it is named there.
    Each rank gets whole batches, consecutive ones: what a batch holds, and with
    it every bit of what is recorded, does not depend on the number of ranks.

    Args:
        cfg: The whole config, or as much of it as has the dataloaders, which may
            be built ones.
        quantization: What to quantize.
        seed: Decides which images are taken.

    Raises:
        ConfigError: If there is no dataset, no file of it, no image in it, fewer
            batches than ranks, or images that the evaluation uses are among them.
    """
    dataset, options, chosen = _chosen(cfg, quantization, seed)
    chosen_images = CalibrationImages(dataset, chosen.images, chosen.spares)
    mirrored = quantization.calibration.mirrored
    images = WithMirrored(chosen_images) if mirrored else chosen_images
    loader = _loader(images, options, quantization.calibration.batch_size, seed)
    log_description(describe_calibration(loader, quantization))
    return loader


def build_held_out_dataloader(
    cfg: Mapping[str, Any],
    quantization: QuantizationConfig,
    seed: int,
    images: int | None = None,
) -> DataLoader | None:
    """The dataloader of images that calibrate nothing.

    They come from the same dataset, at random, and are neither among those that
    :func:`build_calibration_dataloader` chooses with these arguments nor among those of
    the evaluation.

    Args:
        cfg: See there.
        quantization: See there.
        seed: See there.
        images: How many at most; None: those of ``quantization.guarantee``.

    Returns:
        None if there are none.

    Raises:
        ConfigError: See there.
    """
    wanted = quantization.guarantee.images if images is None else images
    dataset, options, chosen = _chosen(cfg, quantization, seed, wanted)
    if not chosen.held_out:
        return None
    held_out = CalibrationImages(dataset, chosen.held_out)
    return _loader(held_out, options, quantization.calibration.batch_size, seed)


def _chosen(
    cfg: Mapping[str, Any],
    quantization: QuantizationConfig,
    seed: int,
    held_out: int = 0,
) -> tuple[Any, dict[str, Any], Choice]:
    """The dataset, options of its dataloader, and the images of it."""
    calibration = quantization.calibration
    given = calibration.dataloader
    own = is_given(given)
    if own:
        dataset, options = _given_images(given), options_of(given)
    else:
        dataset, options = training_images(cfg)
    if len(dataset) == 0:
        raise ConfigError(
            'the calibration set is empty: check data_root, ann_file and data_prefix '
            'of quantization.calibration.dataloader or train_dataloader'
        )
    chosen = choose(
        dataset,
        calibration.num_images,
        seed,
        EvaluatedImages(cfg),
        dataset_of(given if own else cfg.get('train_dataloader')),
        once=not own,
        held_out=held_out,
    )
    return dataset, options, chosen


def _loader(
    images: Subset, options: dict[str, Any], size: int, seed: int
) -> CalibrationLoader:
    workers = options.get('num_workers', 0)
    return CalibrationLoader(
        images,
        _batches_of_this_rank(len(images), size),
        num_workers=workers,
        collate_fn=_collate(options.get('collate_fn')),
        worker_init_fn=functools.partial(
            worker_init_fn, num_workers=workers, rank=0, seed=seed
        ),
    )


def loaders_of(runner: Any) -> dict[str, Any]:
    """The dataloaders of a runner by their names in a config, built or not.

    Those that it was given without a config are among them.
    """
    given = {name: runner.cfg.get(name) for name in _LOADERS}
    return {
        name: loader or getattr(runner, f'_{name}', None)
        for name, loader in given.items()
    }


def _given_images(loader: Any) -> Any:
    """The dataset of ``calibration.dataloader``, as it stands there."""
    dataset = dataset_of(loader)
    if dataset is None or dataset == {}:
        raise ConfigError(
            'quantization.calibration.dataloader has no dataset: give it one, or leave '
            'it out to calibrate on train_dataloader'
        )
    with explained('the calibration images', dataset):
        return built(dataset)


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


def _collate(given: Mapping[str, Any] | Callable | None) -> Callable:
    """The collate function of a dataloader, with mmengine's default."""
    if callable(given):
        return given
    arguments = dict(given or {'type': 'pseudo_collate'})
    kind = arguments.pop('type')
    function = COLLATE_FUNCTIONS.get(kind) if isinstance(kind, str) else kind
    if function is None:
        raise ConfigError(f"there is no collate function '{kind}'")
    return functools.partial(function, **arguments)
