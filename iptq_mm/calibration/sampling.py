"""Samples of large values: evenly spread rows of each image."""

from __future__ import annotations

from torch import Tensor

#: Elements of an image that a value is looked at by. The first stages of a detector
#: have tens of millions; evenly spread rows tell the same.
MAX_ELEMENTS = 2**19


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
