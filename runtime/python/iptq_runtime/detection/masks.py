"""Masks of objects, from a grid over a box to the pixels of an image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def pasted(
    grid: np.ndarray, box: np.ndarray, size: Sequence[int], threshold: float
) -> np.ndarray:
    """Returns which pixels belong to an object, of shape (height, width).

    Args:
        grid: Probabilities over the box, of shape (rows, columns); the values between
            them are interpolated.
        box: (x1, y1, x2, y2).
        size: Height and width of the image.
        threshold: The least probability.
    """
    row, down = _places(box[1], box[3], size[0], grid.shape[0])
    column, right = _places(box[0], box[2], size[1], grid.shape[1])
    bordered = np.pad(grid, 1)  # nothing belongs to it there
    upper, lower = bordered[row], bordered[row + 1]
    over = upper[:, column] * (1.0 - right) + upper[:, column + 1] * right
    under = lower[:, column] * (1.0 - right) + lower[:, column + 1] * right
    values = over * (1.0 - down)[:, None] + under * down[:, None]
    return values >= threshold


def _places(
    low: float, high: float, pixels: int, cells: int
) -> tuple[np.ndarray, np.ndarray]:
    """The cell before each pixel, from 0, the border, on; and how far it is away."""
    if high <= low:
        return np.zeros(pixels, np.int64), np.zeros(pixels)
    at = (np.arange(pixels) + 0.5 - low) / (high - low) * cells + 0.5
    inside = (at >= 0.0) & (at < cells + 1.0)
    first = np.where(inside, np.floor(at), 0.0)
    return first.astype(np.int64), np.where(inside, at - first, 0.0)
