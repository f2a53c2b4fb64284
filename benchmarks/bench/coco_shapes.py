"""The shapes that a detector gets of COCO's images.

Images are resized to 1333x800, their ratio kept, and padded to multiples of 32. One
side is then 800 and the other one 800 to 1344, or the longer one is 1344: the 45 shapes
of :data:`SHAPES`. How often they occur was counted in 100 images of COCO, 50 of each
split; every other shape counts half an image, more than it has in COCO.
"""

from __future__ import annotations

import random

#: Images of 100 by height and width.
_COUNTED = {
    (800, 1216): 27,
    (800, 1088): 21,
    (1088, 800): 16,
    (1216, 800): 11,
    (832, 800): 4,
    (768, 1344): 3,
    (896, 800): 2,
    (800, 1344): 2,
    (800, 1024): 2,
}
_UPRIGHT = [(800, width) for width in range(800, 1345, 32)]
_LONG = [(height, 1344) for height in range(640, 769, 32)]
#: Share of each shape, in images of about 115.
SHAPES: dict[tuple[int, int], float] = {
    shape: _COUNTED.get(shape, 0.5)
    for height, width in [*_UPRIGHT, *_LONG]
    for shape in {(height, width), (width, height)}
}


def images_by_shape(count: int, part: int = 1, seed: int = 0) -> list[tuple[int, int]]:
    """The shape of each of some images, in random order.

    Args:
        count: Number of images, if there are all shapes.
        part: Only every ``part``-th shape is used, with its images.
        seed: Of the order.

    Returns:
        At least one image of each shape.
    """
    order = sorted(SHAPES, key=lambda shape: (-SHAPES[shape], shape))
    left = max(count - len(order), 0)
    total = sum(SHAPES.values())
    chosen: list[tuple[int, int]] = []
    due = 0.0
    for shape in order:
        due += left * SHAPES[shape] / total
        extra = round(due)
        due -= extra
        if order.index(shape) % part == 0:
            chosen += [shape] * (1 + extra)
    random.Random(seed).shuffle(chosen)
    return chosen


def scaled(shape: tuple[int, int], scale: float) -> tuple[int, int]:
    """Height and width times ``scale``: a multiple of 32 becomes one of 32 times it."""
    height, width = (max(1, round(n * scale)) for n in shape)
    return height, width
