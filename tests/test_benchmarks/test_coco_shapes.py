"""Shapes of COCO's images, and the benchmark that feeds them."""

import pytest
from bench.coco_shapes import SHAPES, images_by_shape, scaled


def test_there_are_45_shapes():
    assert len(SHAPES) == 45
    for height, width in SHAPES:
        assert height % 32 == width % 32 == 0 and (width, height) in SHAPES
        assert min(height, width) == 800 or max(height, width) == 1344


def test_images_have_every_shape():
    shapes = images_by_shape(200)
    assert len(shapes) == 200 and set(shapes) == set(SHAPES)
    usual = max(SHAPES, key=lambda shape: SHAPES[shape])
    assert max(set(shapes), key=shapes.count) == usual
    assert shapes == images_by_shape(200) != images_by_shape(200, seed=1)


@pytest.mark.parametrize('part', [3, 9])
def test_a_part_of_the_shapes(part):
    shapes = images_by_shape(200, part)
    assert len(set(shapes)) == 45 // part
    assert 0.5 * 200 < len(shapes) * part < 2.5 * 200


def test_scaled_shapes_stay_different():
    assert len({scaled(shape, 0.25) for shape in SHAPES}) == 45
    assert scaled((800, 1088), 0.5) == (400, 544)
