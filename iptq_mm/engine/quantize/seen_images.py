"""Calibration images that carry no information: of one value, or all the same."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from mmengine import dist
from mmengine.logging import print_log
from torch import Tensor

from ...utils.trees import tree_leaves


class SeenImages:
    """Notes which images are of one colour value, and whether all are the same."""

    def __init__(self) -> None:
        self._digests: list[int] = []
        self._blank = 0

    def each(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Go through batches and look at their images."""
        for batch in batches:
            for image in images_in(batch):
                self._blank += bool((image == image.flatten()[0]).all())
                numbers = image.detach().cpu().contiguous().view(torch.uint8)
                self._digests.append(zlib.crc32(numbers.numpy().tobytes()))
            yield batch

    def warn(self) -> None:
        """Warn of images from which no ranges can be learnt, over all ranks."""
        gathered = dist.all_gather_object((self._digests, self._blank))
        digests = [digest for rank, _ in gathered for digest in rank]
        blank, count = sum(b for _, b in gathered), len(digests)
        if blank:
            _say(
                f'{blank} of {count} calibration images have the same value everywhere '
                '(all black, say): are they damaged, or does the pipeline spoil them?'
            )
        if count > 1 and len(set(digests)) == 1:
            _say(
                f'all {count} calibration images are the same: ranges of one suit '
                'no other; look at the calibration set'
            )


def images_in(batch: Any) -> list[Tensor]:
    """The images of a batch: tensors of 3 dimensions, or of 4, the first for images."""
    inputs = batch.get('inputs', batch) if isinstance(batch, dict) else batch
    tensors = [x for x in tree_leaves(inputs) if isinstance(x, Tensor) and x.numel()]
    images = [x for x in tensors if x.dim() == 3]
    return images + [image for x in tensors if x.dim() == 4 for image in x]


def _say(message: str) -> None:
    print_log(message, 'current', logging.WARNING)
