"""Float and integer detections beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

#: Colours of classes (RGB), distinguishable on most images.
PALETTE = (
    (230, 25, 75),
    (60, 180, 75),
    (0, 130, 200),
    (245, 130, 48),
    (145, 30, 180),
    (70, 240, 240),
    (240, 50, 230),
    (210, 245, 60),
)


def side_by_side(
    image: np.ndarray,
    results: Sequence[tuple[str, Any]],
    classes: Sequence[str],
    threshold: float = 0.5,
    zoom: int = 2,
) -> np.ndarray:
    """Draw detections of several models on copies of one image.

    Args:
        image: RGB, uint8, shape (h, w, 3).
        results: Title and mmdet's ``pred_instances`` (boxes, scores, labels,
            masks if any) of each model.
        classes: Names by label.
        threshold: Scores below are not drawn.
        zoom: Enlargement of the image.

    Returns:
        RGB, uint8, shape (zoom * h + title, zoom * w * len(results), 3).
    """
    panels = []
    for title, instances in results:
        panel = cv2.resize(image, None, fx=zoom, fy=zoom)
        order = np.argsort(np.asarray(instances.scores.cpu()), kind='stable')
        for i in order[np.asarray(instances.scores.cpu())[order] >= threshold]:
            label = int(instances.labels[i])
            mask = None
            if 'masks' in instances:
                mask = np.asarray(instances.masks[i]).astype(np.uint8)
            box = np.asarray(instances.bboxes[i].cpu())
            text = f'{classes[label]} {float(instances.scores[i]):.2f}'
            _draw(panel, box * zoom, mask, text, PALETTE[label % len(PALETTE)], zoom)
        bar = np.full((22, panel.shape[1], 3), 255, np.uint8)
        cv2.putText(
            bar,
            title,
            (4, 16),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.45,
            (0, 0, 0),
            1,
            cv2.LINE_AA,
        )
        panel[:, -1] = 255
        panels.append(np.concatenate([bar, panel]))
    return np.concatenate(panels, 1)


def _draw(
    panel: np.ndarray,
    box: np.ndarray,
    mask: np.ndarray | None,
    text: str,
    colour: tuple[int, int, int],
    zoom: int,
) -> None:
    """Draw one object in place."""
    if mask is not None:
        mask = cv2.resize(mask, None, fx=zoom, fy=zoom, interpolation=0).astype(bool)
        panel[mask] = (0.55 * panel[mask] + 0.45 * np.array(colour)).astype(np.uint8)
    x1, y1, x2, y2 = (int(round(float(v))) for v in box)
    cv2.rectangle(panel, (x1, y1), (x2, y2), colour, 1)
    at = (max(0, x1), max(10, y1 - 3))
    for thickness, ink in ((3, (0, 0, 0)), (1, (255, 255, 255))):
        cv2.putText(
            panel, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.35, ink, thickness, cv2.LINE_AA
        )
