"""Textured shapes on cluttered backgrounds: the demo detection data.

Every image depends on ``(seed, split, index)`` alone, so that the data are the
same whatever number of processes renders them and in whatever order.
"""

from typing import Any, NamedTuple

import cv2
import numpy as np
from pycocotools import mask as mask_api

Array = np.ndarray
Rng = np.random.Generator

CLASSES = ('circle', 'square', 'triangle', 'star', 'ring', 'cross')
SPLITS = ('train', 'val')
# Raise it when a change below changes a pixel: data already made are then stale.
VERSION = 1

IMAGE_SIZE, CROP_SIZE = 160, 64
# Classes lean to a colour, as real ones do: small nets learn that first.
_LEANINGS = 255 * np.array([[(n >> k) & 1 for k in range(3)] for n in range(1, 7)])
_SUPER = 2  # shapes are drawn larger and reduced, for smooth borders
_SHIFT = 4  # fractional bits of the coordinates given to OpenCV
_MIN_VISIBLE, _MIN_AREA = 0.55, 60
_REFLECT = cv2.BORDER_REFLECT


class Scene(NamedTuple):
    """One rendered image and its objects."""

    image: Array  # (H, W, 3) uint8, BGR
    labels: list[int]  # class indices
    masks: Array  # (N, H, W) uint8, the visible parts


def scene_rng(seed: int, split: str, index: int) -> Rng:
    """Returns the random stream of one image; no two images share one."""
    return np.random.default_rng([seed, SPLITS.index(split), index])


def _polygon(kind: str) -> Array:
    """Returns the outline of a class in the unit disc."""
    if kind == 'cross':
        near, far = 0.3, 0.95
        arm = np.array([[-near, -far], [near, -far], [near, -near]])
        quarter = np.array([[0, 1], [-1, 0]])
        turns = [np.linalg.matrix_power(quarter, k) for k in range(4)]
        return np.concatenate([arm @ turn for turn in turns])
    corners = {'square': 4, 'triangle': 3, 'star': 10}.get(kind, 48)
    start = np.pi / 4 if corners < 5 else 0
    turn = start + np.arange(corners) * 2 * np.pi / corners
    radius = np.where(np.arange(corners) % 2, 0.45 if kind == 'star' else 1.0, 1.0)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=1)


def draw_shape(kind: str, center: Array, axes: Array, size: int) -> Array:
    """Returns how much of each pixel a shape covers, from 0 to 1.

    Args:
        kind: Name of the class.
        center: x and y of the centre, in pixels.
        axes: Matrix whose rows are the axes of the shape, in pixels.
        size: Side of the square image.
    """
    canvas = np.zeros((size * _SUPER, size * _SUPER), np.uint8)
    rims = [(1.0, 255), (0.55, 0)] if kind == 'ring' else [(1.0, 255)]
    for scale, fill in rims:
        points = scale * _polygon(kind) @ axes + center
        points = np.round(points * _SUPER * 2**_SHIFT).astype(np.int32)
        cv2.fillPoly(canvas, [points], fill, cv2.LINE_AA, _SHIFT)
    reduced = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
    return reduced.astype(np.float32) / 255


def _smooth_noise(rng: Rng, size: int, cells: int) -> Array:
    """Returns noise in [-1, 1] whose grain is ``size / cells`` pixels."""
    coarse = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_LINEAR)


def texture(rng: Rng, size: int, color: Array) -> Array:
    """Returns a ``(size, size, 3)`` float32 pattern about a colour."""
    angle, period = rng.uniform(0, np.pi), rng.uniform(5, 12)
    wave = np.exp(1j * angle) / period
    x, y = np.arange(size, dtype=np.float32), np.arange(size, dtype=np.float32)[:, None]
    along = x * np.float32(wave.real) + y * np.float32(wave.imag)
    across = y * np.float32(wave.real) - x * np.float32(wave.imag)
    kind = rng.integers(5)
    if kind == 4:
        pattern = _smooth_noise(rng, size, int(size / period))
    else:
        stripes, rows = np.floor(2 * along), np.floor(2 * across)
        slope = along * np.float32(period / size)
        checks = (stripes + rows) % 2 * 2 - 1
        pattern = (0 * along, stripes % 2 * 2 - 1, checks, slope)[kind]
    swing = rng.uniform(6, 24, 3) * rng.choice([-1, 1], 3)
    return color.astype(np.float32) + pattern[..., None] * swing.astype(np.float32)


def _background(rng: Rng, size: int) -> tuple[Array, Array]:
    """Returns a cluttered background and its base colour."""
    color = rng.uniform(40, 215, 3)
    image = texture(rng, size, color)
    for cells in (3, 9):
        swing = rng.uniform(5, 25, 3).astype(np.float32)
        image += _smooth_noise(rng, size, cells)[..., None] * swing
    for _ in range(rng.integers(2, 7)):  # scraps of no class
        _paint_scrap(rng, image)
    _paint_lines(rng, image, int(rng.integers(2, 9)))
    return image, color


def _paint_scrap(rng: Rng, image: Array) -> None:
    reach = rng.uniform(-22, 22, (rng.integers(5, 9), 2))
    corners = np.round(rng.uniform(0, len(image), 2) + reach)
    cover = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(cover, [corners.astype(np.int32)], 1)
    paint = texture(rng, len(image), rng.uniform(20, 235, 3))
    strength = np.float32(rng.uniform(0.1, 0.4))
    image[cover > 0] += strength * (paint - image)[cover > 0]


def _paint_lines(rng: Rng, image: Array, count: int) -> Array:
    """Draws straight lines and returns the pixels they cover."""
    cover = np.zeros(image.shape[:2], np.uint8)
    for _ in range(count):
        ends = rng.integers(-20, len(image) + 20, (2, 2)).tolist()
        width = int(rng.integers(1, 4))
        cv2.line(image, ends[0], ends[1], rng.uniform(0, 255, 3).tolist(), width)
        cv2.line(cover, ends[0], ends[1], 1, width)
    return cover


def render_scene(seed: int, split: str, index: int, size: int = IMAGE_SIZE) -> Scene:
    """Renders one image; later objects lie over earlier ones."""
    rng = scene_rng(seed, split, index)
    image, ground = _background(rng, size)
    labels: list[int] = []
    whole: list[int] = []
    masks: list[Array] = []
    for _ in range(rng.integers(3, 9)):
        label = int(rng.integers(len(CLASSES)))
        radius = np.exp(rng.uniform(np.log(10), np.log(36)))
        center = rng.uniform(0.7 * radius, size - 0.7 * radius, 2)
        squeeze, angle = rng.uniform(0.8, 1.0), rng.uniform(-0.5, 0.5)
        cos, sin = radius * np.cos(angle), radius * np.sin(angle)
        axes = np.array([[cos, sin], [-squeeze * sin, squeeze * cos]])
        cover = draw_shape(CLASSES[label], center, axes, size)
        contrast = rng.uniform(60, 130, 3) * rng.choice([-1, 1], 3)
        color = 0.65 * np.clip(ground + contrast, 5, 250) + 0.35 * _LEANINGS[label]
        paint = texture(rng, size, color)
        mask = (cover >= 0.5).astype(np.uint8)
        rest = [old & (1 - mask) for old in masks]
        left = [part.sum() / full for part, full in zip(rest, whole, strict=True)]
        if mask.sum() < _MIN_AREA or min(left, default=1) < _MIN_VISIBLE:
            continue
        image += cover[..., None] * (paint - image)
        labels.append(label)
        whole.append(int(mask.sum()))
        masks = [*rest, mask]
    bars = _paint_lines(rng, image, int(rng.integers(0, 3)))
    if rng.random() < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 0.9))
    image = image * np.float32(rng.uniform(0.75, 1.2))
    image += np.float32(rng.uniform(-15, 15))
    noise = rng.standard_normal(image.shape, np.float32)
    image += np.float32(rng.uniform(2, 8)) * noise
    image = np.clip(np.round(image), 0, 255).astype(np.uint8)
    visible = np.array(masks, np.uint8).reshape(-1, size, size) & (1 - bars)
    seen = np.flatnonzero(visible.any(axis=(1, 2)))
    return Scene(image, [labels[n] for n in seen], visible[seen])


def annotate(scene: Scene, image_id: int, first_id: int) -> list[dict[str, Any]]:
    """Returns the COCO annotations of a scene, with ids from ``first_id``."""
    found = []
    for number, (label, mask) in enumerate(zip(scene.labels, scene.masks, strict=True)):
        code = mask_api.encode(np.asfortranarray(mask))
        note: dict[str, Any] = {
            'id': first_id + number,
            'image_id': image_id,
            'iscrowd': 0,
        }
        note |= {'category_id': label + 1, 'area': int(mask.sum()), 'iscrowd': 0}
        note['bbox'] = [float(v) for v in cv2.boundingRect(mask)]
        note['segmentation'] = {**code, 'counts': code['counts'].decode()}
        found.append(note)
    return found


def crop_object(scene: Scene, number: int, zoom: float, side: int = CROP_SIZE) -> Array:
    """Returns the square about one object, reduced or enlarged to ``side``.

    Args:
        scene: Image and objects.
        number: Which object.
        zoom: Side of the square as a multiple of the object's.
        side: Side of the crop in pixels.
    """
    x, y, width, height = cv2.boundingRect(scene.masks[number])
    scale = side / (zoom * max(width, height))
    shift = side / 2 - scale * np.array([x + width / 2, y + height / 2])
    move = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    return cv2.warpAffine(scene.image, move, (side,) * 2, borderMode=cv2.BORDER_REFLECT)
