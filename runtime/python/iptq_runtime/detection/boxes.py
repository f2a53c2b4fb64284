"""Boxes (x1, y1, x2, y2): anchors, decoding, the choice among those that overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .exact import exponential


def anchors(
    base: Sequence[Sequence[float]], stride: Sequence[int], size: Sequence[int]
) -> np.ndarray:
    """Returns the anchors of a map: row by row, and at each place all base anchors.

    Args:
        base: Anchors at the first place.
        stride: Distance of places in x and y.
        size: Height and width of the map.
    """
    y, x = np.meshgrid(*(np.arange(n, dtype=np.float64) for n in size), indexing='ij')
    shifts = np.stack([x * stride[0], y * stride[1]] * 2, axis=-1)
    made = shifts[:, :, None, :] + np.asarray(base, np.float64)
    return made.reshape(-1, 4)


def decoded(
    boxes: np.ndarray, deltas: np.ndarray, coder: Mapping[str, Any], size: Sequence[int]
) -> np.ndarray:
    """Returns boxes that deltas have moved and resized, within the image.

    Args:
        boxes: Of shape (n, 4).
        deltas: Of shape (n, 4): of the middle in x and y, of the logarithms of width
            and height.
        coder: ``means`` and ``stds`` of the deltas, and the ``limit`` of logarithms.
        size: Height and width of the image.
    """
    change = deltas * np.asarray(coder['stds']) + np.asarray(coder['means'])
    limit = coder['limit']
    sides = []
    for axis in (0, 1):
        low, high = boxes[:, axis], boxes[:, axis + 2]
        middle, extent = (low + high) * 0.5, high - low
        middle = middle + extent * change[:, axis]
        factor = exponential(np.clip(change[:, axis + 2], -limit, limit))
        half = extent * factor * 0.5
        bound = float(size[1 - axis])
        ends = (middle - half, middle + half)
        sides.append([np.clip(end, 0.0, bound) + 0.0 for end in ends])  # no -0
    (x1, x2), (y1, y2) = sides
    return np.stack([x1, y1, x2, y2], axis=1)


def by_score(scores: np.ndarray) -> np.ndarray:
    """Returns the order of falling scores, in which equal ones keep theirs."""
    return np.argsort(-scores, kind='stable')


def kept(
    boxes: np.ndarray,
    scores: np.ndarray,
    groups: np.ndarray,
    threshold: float,
    most: int,
) -> np.ndarray:
    """Returns which boxes remain, by falling score (non-maximum suppression).

    Args:
        boxes: Of shape (n, 4).
        scores: Their scores.
        groups: Only boxes of one group compete.
        threshold: A box goes if its intersection over union with one of a higher score
            is larger.
        most: How many at most.
    """
    x1, y1, x2, y2 = boxes.T
    areas = (x2 - x1) * (y2 - y1)
    order = by_score(scores)
    gone = np.zeros(len(order), bool)
    made = []
    for i in order:
        if gone[i]:
            continue
        if len(made) == most:
            break
        made.append(i)
        wide = np.minimum(x2[i], x2) - np.maximum(x1[i], x1)
        high = np.minimum(y2[i], y2) - np.maximum(y1[i], y1)
        common = np.maximum(wide, 0.0) * np.maximum(high, 0.0)
        with np.errstate(invalid='ignore'):
            over = common / (areas[i] + areas - common) > threshold
        gone |= over & (groups == groups[i])
    return np.array(made, np.int64)
