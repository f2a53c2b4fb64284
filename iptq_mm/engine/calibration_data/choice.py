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

#: An image, and the dataloader that evaluates it.
Found = tuple[Identity, str]
#: For each image, others that take its place where its file is broken.
_SPARES = 3
#: Data sets have a few equal images in both splits: up to this share they are left out.
_CHANCE = 0.1


class Choice(NamedTuple):
    """Chosen images, as indices of their dataset.

    Attributes:
        images: Those that calibrate, in order.
        spares: Those that replace broken ones.
        held_out: Those that calibrate nothing and are looked at later, in order.
    """

    images: list[int]
    spares: list[int]
    held_out: list[int]


def choose(
    dataset: Any,
    count: int,
    seed: int,
    evaluated: EvaluatedImages,
    config: Any = None,
    once: bool = True,
    held_out: int = 0,
) -> Choice:
    """Choose images at random, over the whole of a dataset.

    Args:
        dataset: Where from.
        count: How many at most.
        seed: Decides which ones.
        evaluated: Those that must not be among them.
        config: Of the dataset: equal ones have equal images, whatever their kind.
        once: Whether an image that the dataset has several times counts once.
        held_out: How many further ones at most are held out. They are none of those
            that calibrate, whatever ``once`` says, and change nothing about these.

    Raises:
        ConfigError: If images that are evaluated would calibrate.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(dataset), generator=generator)
    drawn = _drawn(dataset, order, once)
    alike = evaluated.same_config(config)
    taken: list[int] = []
    same, equal, copied = list[Found](), list[Found](), list[Found]()
    for index, image in drawn:
        if key := evaluated.storing(image) or ('' if image.known else alike):
            same.append((image, key))
        elif key := evaluated.equal(image):
            equal.append((image, key))
            if len(equal) == count:
                break
            continue
        elif key := evaluated.copied(image):
            copied.append((image, key))
        taken.append(index)
        if len(taken) == count:
            break
    many = not taken or len(equal) > max(1, _CHANCE * count)
    if same or (equal and many):
        _refuse(same or equal, len(taken) + len(equal))
    _warn(equal, 'left out because they equal evaluated ones')
    _warn(copied, 'equal to evaluated ones, in files of their own')
    kept = _held_out(dataset, drawn, held_out, evaluated, taken)
    rest = islice(drawn, _SPARES * len(taken))
    spares = [i for i, image in rest if not _known(evaluated, image)]
    return Choice(sorted(taken), spares, sorted(kept))


def _held_out(
    dataset: Any,
    drawn: Iterator[tuple[int, Identity]],
    count: int,
    evaluated: EvaluatedImages,
    taken: list[int],
) -> list[int]:
    """Further images, none of which is taken or evaluated."""
    if not count:
        return []
    seen = {_stored(dataset, i, identified(dataset, i)) for i in taken}
    kept: list[int] = []
    for index, image in drawn:
        place = _stored(dataset, index, image)
        if place not in seen and not _known(evaluated, image):
            seen.add(place)
            kept.append(index)
            if len(kept) == count:
                break
    return kept


def _stored(dataset: Any, index: int, image: Identity) -> Hashable:
    return image.stored or _place(dataset, index)


def _drawn(
    dataset: Any, order: torch.Tensor, once: bool
) -> Iterator[tuple[int, Identity]]:
    """Images in random order."""
    seen = set[Hashable]()
    for index in order.tolist():
        image = identified(dataset, index)
        if once:
            place = _stored(dataset, index, image)
            if place in seen:
                continue
            seen.add(place)
        yield index, image


def _place(dataset: Any, index: int) -> Hashable:
    holder, position = located(dataset, index)
    return id(holder), position


def _known(evaluated: EvaluatedImages, image: Identity) -> str:
    return evaluated.storing(image) or evaluated.equal(image)


def _refuse(shared: list[Found], drawn: int) -> None:
    image, key = shared[0]
    raise ConfigError(
        f'calibration would see images of the evaluation ({key}): {len(shared)} of '
        f'{drawn} drawn are among them, for instance {image.name}. The figures would '
        'mean nothing: take another split for train_dataloader, or other images in '
        'quantization.calibration.dataloader'
    )


def _warn(found: list[Found], what: str) -> None:
    if found:
        image, key = found[0]
        print_log(
            f'calibration: {len(found)} images {what} ({key}), for instance '
            f'{image.name}',
            'current',
            logging.WARNING,
        )
