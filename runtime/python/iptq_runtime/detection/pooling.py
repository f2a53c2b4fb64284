"""RoIAlign in whole numbers, from the integers of a map to those that a head takes.

The mean of a cell's samples is a product of two matrices with the map: how much each
row, and how much each column, belongs to the cell. Their numbers are rounded to
multiples of 2**-bits, with as many bits as leave every sum of products below 2**53. So
all sums are exact in doubles, in any order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_EXACT = 52


def levels(boxes: np.ndarray, finest: float, count: int) -> np.ndarray:
    """Returns which map each box is cut from.

    Args:
        boxes: Of shape (n, 4).
        finest: A side of less than twice that is cut from the first map; with each
            doubling it is the next one.
        count: Number of maps.
    """
    x1, y1, x2, y2 = boxes.T
    side = np.sqrt((x2 - x1) * (y2 - y1)) / finest + 1e-6
    made = np.zeros(len(boxes), np.int64)
    for level in range(1, count):
        made += side >= 2.0**level
    return made


def weights(
    low: np.ndarray, high: np.ndarray, cells: int, samples: int, extent: int, bits: int
) -> np.ndarray:
    """Returns how much each row of a map belongs to each cell, times 2**bits.

    Args:
        low: Where boxes begin, in the map's units.
        high: Where they end.
        cells: Number of cells.
        samples: Samples in a cell; 0: as many as the cell has rows.
        extent: Rows of the map.
        bits: See above.

    Returns:
        An array of shape (boxes, cells, rows).
    """
    size = (high - low) / cells
    number = np.full(len(low), float(samples)) if samples else np.ceil(size)
    made = np.zeros((len(low), cells, extent))
    of_box, of_cell = np.indices(made.shape[:2])
    start = low[:, None] + np.arange(cells) * size[:, None]
    for sample in range(int(number.max(initial=0))):
        with np.errstate(divide='ignore', invalid='ignore'):
            step = (sample + 0.5) * size / number
        at = start + step[:, None]
        inside = (sample < number)[:, None] & (at >= -1.0) & (at <= extent)
        at = np.where(inside, np.maximum(at, 0.0), 0.0)
        first = np.minimum(np.floor(at), extent - 1.0)
        part = np.where(first < extent - 1, at - first, 0.0)
        row = first.astype(np.int64)
        made[of_box, of_cell, row] += np.where(inside, 1.0 - part, 0.0)
        after = np.minimum(row + 1, extent - 1)
        made[of_box, of_cell, after] += np.where(inside, part, 0.0)
    shares = made / np.maximum(number, 1.0)[:, None, None]
    return np.rint(shares * 2.0**bits)


def pooled(
    maps: Sequence[np.ndarray],
    ports: Sequence[Any],
    boxes: np.ndarray,
    pool: Mapping[str, Any],
    target: Any,
) -> np.ndarray:
    """Returns a head's integers, for each box of shape (channels, cells, cells).

    Args:
        maps: The integers of the maps, of shape (1, channels, height, width).
        ports: What they stand for (:class:`..model.Port`).
        boxes: Of shape (n, 4), in the image.
        pool: ``cells``, ``samples``, ``strides`` of the maps and ``finest``.
        target: The input of the head.
    """
    cells, strides = pool['cells'], pool['strides']
    made = np.zeros((len(boxes), maps[0].shape[1], cells, cells), target.dtype)
    of_map = levels(boxes, pool['finest'], len(strides))
    for level, stride in enumerate(strides):
        chosen = np.flatnonzero(of_map == level)
        if not len(chosen):
            continue
        _, _, height, width = maps[level].shape
        port = ports[level]
        bits = (_EXACT - max(-port.low, port.high).bit_length()) // 2
        x1, y1, x2, y2 = boxes[chosen].T * (1.0 / stride) - 0.5
        rows = weights(y1, y2, cells, pool['samples'], height, bits)
        columns = weights(x1, x2, cells, pool['samples'], width, bits)
        ratio = port.scale / target.scale / 2.0 ** (2 * bits)
        values = maps[level][0].astype(np.float64)
        for i, row, column in zip(chosen, rows, columns, strict=True):
            sums = row @ (values @ column.T)
            made[i] = np.clip(np.rint(sums * ratio), target.low, target.high)
    return made
