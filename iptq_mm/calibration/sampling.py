"""Samples of large values: some rows of each image."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

#: Elements of an image that a value is looked at by. The first stages of a detector
#: have tens of millions; evenly spread rows tell the same.
MAX_ELEMENTS = 2**19
#: About how many rows of all images the moments of a layer's inputs are taken of, and
#: how many for each input: the larger number counts. Most of a detector's are alike.
MOMENT_ROWS, ROWS_FOR_AN_INPUT = 2**16, 64
#: The least and the most rows of one image, whatever the number of images.
LEAST_ROWS, MOST_ROWS = 2**9, 2**14
#: Maps of an image of which all are looked at, by fewer positions: else some are left
#: out. Regions of a detector differ more than the positions within one.
SOME_MAPS = 8


def spread_rows(x: Tensor, images: int) -> Tensor:
    """Evenly spread rows of each image, at most :data:`MAX_ELEMENTS` elements of it.

    Args:
        x: A value whose first dimensions run over images first, shape (..., length).
        images: Images in the batch.

    Returns:
        Shape (images, rows, length), contiguous, detached.
    """
    rows = x.detach().reshape(images, -1, x.shape[-1])
    keep = max(1, MAX_ELEMENTS // x.shape[-1])
    return rows[:, :: -(-rows.shape[1] // keep)].contiguous()


def moment_rows(features: int, images: int) -> int:
    """Returns how many rows of an image the moments of a layer are taken of, at most.

    Args:
        features: Inputs of the layer.
        images: Images that calibrate.
    """
    wanted = max(MOMENT_ROWS, ROWS_FOR_AN_INPUT * features)
    return min(max(-(-wanted // max(1, images)), LEAST_ROWS), MOST_ROWS)


def drawn_rows(x: Tensor, images: int, limit: int) -> Tensor:
    """Rows of each image, the same ones in all images, at most a limit of them.

    They are drawn: tokens come window by window, and evenly spread ones may have one
    place in all windows.

    Args:
        x: Shape (..., length), the first dimensions run over images first.
        images: Images in the batch.
        limit: Rows of an image.

    Returns:
        ``x`` itself, or shape (images, limit, length).
    """
    rows = x.reshape(images, -1, x.shape[-1])
    if rows.shape[1] <= limit:
        return x
    return rows[:, _drawn(rows.shape[1], limit).to(x.device)]


@lru_cache(64)
def _drawn(rows: int, limit: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randperm(rows, generator=generator)[:limit].sort().values


def window_strides(maps: int, positions: int, limit: int) -> tuple[int, int, int]:
    """Strides over the maps of an image, over rows, and over columns of a map.

    Args:
        maps: Of an image.
        positions: Of the kernel in a map.
        limit: How many windows of an image are looked at, about, and at most.
    """
    excess = maps * positions / limit
    every = max(1, min(math.ceil(excess), maps // SOME_MAPS))
    left = -(-maps // every) * positions / limit
    rows = max(1, round(left**0.5))
    return every, rows, max(1, math.ceil(left / rows))


def some_maps(x: Tensor, images: int, every: int) -> Tensor:
    """Each ``every``-th map of each image."""
    if every == 1:
        return x
    return x.unflatten(0, (images, -1))[:, ::every].flatten(0, 1)
