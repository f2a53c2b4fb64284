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
    source = _Source(cfg, quantization, seed)
    chosen = source.chosen(quantization.guarantee.images)
    chosen_images = CalibrationImages(source.dataset, chosen.images, chosen.spares)
    mirrored = quantization.calibration.mirrored
    images = WithMirrored(chosen_images) if mirrored else chosen_images
    size = quantization.calibration.batch_size
    loader = _loader(images, source.options, size, seed)
    log_description(describe_calibration(loader, quantization))
    return loader


def build_held_out_dataloader(
    cfg: Mapping[str, Any], quantization: QuantizationConfig, seed: int
) -> DataLoader | None:
    """The dataloader of images that calibrate nothing, for ``quantization.guarantee``.

    They come from the same dataset, at random, and are neither among those that
    :func:`build_calibration_dataloader` chooses with these arguments nor among those of
    the evaluation.

    Args:
        cfg: See there.
        quantization: See there.
        seed: See there.

    Returns:
        None if there are none.

    Raises:
        ConfigError: See there.
    """
    source = _Source(cfg, quantization, seed)
    return source.loader(source.chosen(quantization.guarantee.images).held_out)


def build_judging_dataloader(
    cfg: Mapping[str, Any], quantization: QuantizationConfig, seed: int, images: int
) -> tuple[DataLoader | None, int]:
    """The dataloader of images that calibrate nothing and certify nothing.

    Where there are not enough of them, fewer images calibrate, but at least half.

    Args:
        cfg: See :func:`build_calibration_dataloader`.
        quantization: See there.
        seed: See there.
        images: How many.

    Returns:
        The dataloader, None if there is no image; and how many images calibrate.

    Raises:
        ConfigError: See there.
    """
    source, certifying = _Source(cfg, quantization, seed), quantization.guarantee.images
    chosen = source.chosen(certifying + images)
    judging = {*chosen.held_out} - {*source.chosen(certifying).held_out}
    count = len(chosen.images)
    fewer = max(-(-count // 2), count - max(0, images - len(judging)))
    if fewer < count:
        judging |= {*chosen.images} - {*source.chosen(0, fewer).images}
    return source.loader(sorted(judging)), fewer


class _Source:
    """The dataset that calibration images come from.

    Args:
        cfg: See :func:`build_calibration_dataloader`.
        quantization: See there.
        seed: See there.
    """

    def __init__(
        self, cfg: Mapping[str, Any], quantization: QuantizationConfig, seed: int
    ) -> None:
        self._cfg, self._seed, self._evaluated = cfg, seed, EvaluatedImages(cfg)
        self._calibration = quantization.calibration
        given = self._calibration.dataloader
        self._own = is_given(given)
        if self._own:
            self.dataset, self.options = _given_images(given), options_of(given)
        else:
            self.dataset, self.options = training_images(cfg)
        if len(self.dataset) == 0:
            raise ConfigError(
                'the calibration set is empty: check data_root, ann_file and '
                'data_prefix of quantization.calibration.dataloader or '
                'train_dataloader'
            )

    def chosen(self, held_out: int = 0, images: int | None = None) -> Choice:
        """The images of it; of fewer, those are the first in random order.

        Args:
            held_out: How many more are held out.
            images: How many calibrate; None: as the config has it.
        """
        given = self._calibration.dataloader
        return choose(
            self.dataset,
            self._calibration.num_images if images is None else images,
            self._seed,
            self._evaluated,
            dataset_of(given if self._own else self._cfg.get('train_dataloader')),
            once=not self._own,
            held_out=held_out,
        )

    def loader(self, held_out: list[int]) -> DataLoader | None:
        """The dataloader of images that calibrate nothing; None if there are none."""
        if not held_out:
            return None
        images = CalibrationImages(self.dataset, held_out)
        return _loader(images, self.options, self._calibration.batch_size, self._seed)


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
