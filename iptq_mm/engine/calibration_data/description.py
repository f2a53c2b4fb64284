"""The description of the calibration images: how many, of how many, where from."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

from mmengine.logging import print_log
from torch.utils.data import DataLoader

from ...calibration.config import QuantizationConfig
from .wrappers import leaves, located

#: Fewer images than these are warned of.
_FEW = 8


def describe_calibration(
    loader: DataLoader, quantization: QuantizationConfig
) -> dict[str, Any]:
    """The description of the calibration images for ``results.json``.

    Args:
        loader: Made by ``build_calibration_dataloader``, on any rank.
        quantization: What it was made for.

    Returns:
        ``images``, how many calibrate; ``mirrored``, whether each does so once more,
        mirrored; ``asked``, how many the config asks for;
        ``total``, how many there are to choose from; ``batches`` of all ranks and
        ``batch_size``; ``data_sets``, by dataset its ``name`` and number of
        ``images``.
    """
    images: Any = loader.dataset
    calibration = quantization.calibration
    size, count = calibration.batch_size, len(images)
    if calibration.mirrored:
        count //= 2
    named = (_named(located(images.dataset, i)[0]) for i in images.indices[:count])
    return {
        'images': count,
        'mirrored': calibration.mirrored,
        'asked': calibration.num_images,
        'total': len(images.dataset),
        'batches': -(-len(images) // size),
        'batch_size': size,
        'data_sets': [
            {'name': name, 'images': count} for name, count in Counter(named).items()
        ],
    }


def log_description(calibration: Mapping[str, Any]) -> None:
    """Log what :func:`describe_calibration` gives, and warn where images are few."""
    images, asked = calibration['images'], calibration['asked']
    sources = ', '.join(
        f'{part["name"]} ({part["images"]})' for part in calibration['data_sets']
    )
    again = ', each mirrored, too' if calibration['mirrored'] else ''
    print_log(
        f'calibration: {_counted(images)} of {calibration["total"]}, asked for '
        f'{asked}, from {sources}{again}',
        'current',
    )
    if images < asked:
        print_log(
            f'calibration: only {_counted(images)} where quantization.calibration.'
            f'num_images asks for {asked}: there are no more',
            'current',
            logging.WARNING,
        )
    if images < _FEW:
        print_log(
            f'calibration: {_counted(images)} rarely show the ranges of all others; '
            'some dozens do (quantization.calibration.num_images)',
            'current',
            logging.WARNING,
        )


def _counted(images: int) -> str:
    return '1 image' if images == 1 else f'{images} images'


def _named(dataset: Any) -> str:
    """A dataset's type and place."""
    leaf = next(leaves(dataset))
    prefix = getattr(leaf, 'data_prefix', None)
    if isinstance(prefix, Mapping):
        prefix = next((p for p in prefix.values() if p), '')
    places = (getattr(leaf, 'ann_file', ''), prefix, getattr(leaf, 'data_root', ''))
    place = next((str(place) for place in places if place), '')
    return f'{type(leaf).__name__} {place}'.strip()
