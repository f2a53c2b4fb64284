"""Which images of a dataset calibrate: at random, none twice, none evaluated."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import torch
from mmengine.logging import print_log

from ...calibration.config import ConfigError
from .evaluated import EvaluatedImages
from .identity import Identity, identified
from .wrappers import located

#: For each image, others that take its place where its file is broken.
_SPARES = 3
#: Data sets have a few equal images in both splits: up to this share they are left out.
_CHANCE = 0.1


class Choice(NamedTuple):
    """Chosen images, as indices of their dataset.

    Attributes:
        images: Those that calibrate, in order.
        spares: Those that replace broken ones.
    """

    images: list[int]
    spares: list[int]


def choose(
    dataset: Any,
    count: int,
    seed: int,
    evaluated: EvaluatedImages,
    config: Any = None,
    once: bool = True,
) -> Choice:
    """Choose images at random, over the whole of a dataset.

    Args:
        dataset: Where from.
        count: How many at most.
        seed: Decides which ones.
        evaluated: Those that must not be among them.
        config: Of the dataset: equal ones have equal images, whatever their kind.
        once: Whether an image that the dataset has several times counts once.

    Raises:
        ConfigError: If images that are evaluated would calibrate.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(dataset), generator=generator)
    drawn = _drawn(dataset, order, once)
    alike = evaluated.same_config(config)
    taken: list[int] = []
    equal: list[tuple[Identity, str]] = []
    same: list[tuple[Identity, str]] = []
    for index, image in drawn:
        if key := evaluated.storing(image) or ('' if image.known else alike):
            same.append((image, key))
        elif key := evaluated.equal(image):
            equal.append((image, key))
            if len(equal) == count:
                break
            continue
        taken.append(index)
        if len(taken) == count:
            break
    many = not taken or len(equal) > max(1, _CHANCE * count)
    if same or (equal and many):
        drawn_until_now = len(taken) + len(equal)
        _refuse(same or equal, drawn_until_now, 'among' if same else 'equal to')
    if equal:
        print_log(
            f'calibration: left out {len(equal)} images that are equal to evaluated '
            f'ones, for instance {equal[0][0].name} ({equal[0][1]})',
            'current',
            logging.WARNING,
        )
    rest = islice(drawn, _SPARES * len(taken))
    spares = [i for i, image in rest if not _known(evaluated, image)]
    return Choice(sorted(taken), spares)


def _drawn(
    dataset: Any, order: torch.Tensor, once: bool
) -> Iterator[tuple[int, Identity]]:
    """Images in random order."""
    seen = set[Hashable]()
    for index in order.tolist():
        image = identified(dataset, index)
        if once:
            place = image.stored or _place(dataset, index)
            if place in seen:
                continue
            seen.add(place)
        yield index, image


def _place(dataset: Any, index: int) -> Hashable:
    holder, position = located(dataset, index)
    return id(holder), position


def _known(evaluated: EvaluatedImages, image: Identity) -> str:
    return evaluated.storing(image) or evaluated.equal(image)


def _refuse(shared: list[tuple[Identity, str]], drawn: int, how: str) -> None:
    image, key = shared[0]
    raise ConfigError(
        f'calibration would see images of the evaluation ({key}): {len(shared)} of '
        f'{drawn} drawn are {how} its own, for instance {image.name}. The figures '
        'would mean nothing: take another split for train_dataloader, or other images '
        'in quantization.calibration.dataloader'
    )
