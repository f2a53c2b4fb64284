"""The dead leaves model: images of surfaces that hide one another."""

from __future__ import annotations

import cv2
import numpy as np

from .synthetic_noise import Array, Rng, mix_colors, spectral_noise

_SHIFT = 4  # fractional bits of the coordinates given to OpenCV
_COVERS = 4  # how often the leaves would cover the image if none overlapped
# Radii as shares of the shorter side. Where the smallest lies is each image's own
# affair: some photographs show a few surfaces, others hundreds.
_SMALLEST, _LARGEST = (1 / 64, 1 / 6), 0.6
_TEXTURES = 4


def dead_leaves(rng: Rng, size: tuple[int, int], alpha: float) -> Array:
    """Sample an image of overlapping, textured discs and polygons.

    Objects of every size that hide one another give an image the edges, the flat
    areas and the scale invariance of photographs (Lee, Mumford and Huang, 2001;
    for learning from such images see Baradad et al., 2021, arXiv 2106.05963).

    Args:
        rng: The random stream.
        size: Height and width.
        alpha: Slope of the spectrum of the textures.

    Returns:
        ``(height, width, 3)`` float32 red, green and blue, of mean about 0 and
        variance about 1.
    """
    side = min(size)
    smallest = side * np.exp(rng.uniform(*np.log(_SMALLEST)))
    radii = _radii(rng, smallest, _LARGEST * side, size[0] * size[1])
    textures = [
        mix_colors(spectral_noise(rng, size, slope, 3))
        for slope in alpha + rng.uniform(-0.5, 0.5, _TEXTURES)
    ]
    image = textures[0].copy()
    cover = np.zeros(size, np.uint8)
    for radius in radii:
        outline = _outline(rng, radius) + rng.uniform(0, 1, 2) * size[::-1]
        x, y, width, height = _box(outline, size)
        if width <= 0 or height <= 0:
            continue
        part = (slice(y, y + height), slice(x, x + width))
        fixed = np.round((outline - (x, y)) * 2**_SHIFT).astype(np.int32)
        mask = cover[part]
        mask[:] = 0
        cv2.fillPoly(mask, [fixed], 255, cv2.LINE_AA, _SHIFT)
        color = mix_colors(rng.standard_normal(3, np.float32))
        # Most surfaces are nearly flat, some are all texture.
        contrast = np.float32(min(rng.exponential(0.35), 1.5))
        leaf = color + contrast * textures[rng.integers(_TEXTURES)][part]
        image[part] += (leaf - image[part]) * (mask[..., None] / np.float32(255))
    return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 0.9))


def _radii(rng: Rng, smallest: float, largest: float, area: int) -> Array:
    """Radii whose density falls as ``r**-3``: as much area at every scale.

    They are as many as cover ``area`` :data:`_COVERS` times.
    """
    ratio = (smallest / largest) ** 2
    mean_square = -(smallest**2) * np.log(ratio) / (1 - ratio)
    count = int(np.ceil(_COVERS * area / (np.pi * mean_square)))
    # The inverse of the distribution function.
    return smallest / np.sqrt(1 - rng.uniform(0, 1, count) * (1 - ratio))


def _outline(rng: Rng, radius: float) -> Array:
    """The corners of an ellipse or of a polygon, ``(N, 2)``, about the origin."""
    if rng.uniform() < 0.5:
        turns = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    else:
        turns = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 8)))
    tilt, squeeze = rng.uniform(0, np.pi), rng.uniform(0.35, 1)
    x, y = np.cos(turns) / np.sqrt(squeeze), np.sin(turns) * np.sqrt(squeeze)
    cos, sin = radius * np.cos(tilt), radius * np.sin(tilt)
    return np.stack([x * cos - y * sin, x * sin + y * cos], axis=1)


def _box(outline: Array, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """x, y, width and height of the part of an outline inside the image."""
    low = np.clip(np.floor(outline.min(axis=0)), 0, size[::-1]).astype(int)
    high = np.clip(np.ceil(outline.max(axis=0)) + 1, 0, size[::-1]).astype(int)
    return low[0], low[1], high[0] - low[0], high[1] - low[1]
