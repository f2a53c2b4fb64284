"""Normalized images as the pixels that they were."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from iptq_mm.pixels import PIXEL_QPARAMS, Pixels, is_image

IMAGENET = Pixels((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))

numbers = st.floats(-300, 300, width=32)
positive = st.floats(1 / 256, 300, width=32)


@given(st.lists(st.tuples(numbers, positive), min_size=1, max_size=4))
def test_every_pixel_comes_back(channels):
    mean, std = zip(*channels, strict=True)
    pixels = Pixels(tuple(mean), tuple(std))
    every = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    image = every.expand(1, len(mean), 16, 16)
    # As mm's preprocessors do it, in float32.
    means, stds = (torch.tensor(v).view(-1, 1, 1) for v in (mean, std))
    normalized = (image.float() - means) / stds
    centred = image.float() - 128
    assert torch.equal(pixels.centred(normalized), centred)
    assert torch.equal(pixels.centred(image), centred)
    for x in (normalized, image):
        assert torch.equal(pixels.integers(x), centred.to(torch.int8))
    assert torch.allclose(pixels.normalized(centred), normalized, rtol=1e-5, atol=1e-4)


def test_beyond_the_range():
    x = torch.full((1, 3, 2, 2), 50.0)
    assert (IMAGENET.centred(x) == PIXEL_QPARAMS.qmax).all()
    assert (IMAGENET.centred(-x) == PIXEL_QPARAMS.qmin).all()


def test_zero_is_the_mean():
    assert IMAGENET.zero == (-4, -12, -24)
    zero = torch.tensor(IMAGENET.zero).view(1, 3, 1, 1)
    # Half a step at most.
    assert (IMAGENET.normalized(zero).abs() <= 0.5 / 57).all()
    assert torch.equal(IMAGENET.centred(torch.zeros(1, 3, 1, 1)), zero.float())


def test_plain_types():
    assert Pixels.from_dict(IMAGENET.to_dict()) == IMAGENET
    for mean, std in (([1.0], [1.0, 2.0]), ([1.0], [0.0])):
        with pytest.raises(ValueError, match='std'):
            Pixels.from_dict({'mean': mean, 'std': std})


def test_images():
    assert is_image(torch.zeros(1, 3, 2, 2), IMAGENET)
    assert is_image(torch.zeros(1, 3, 2, 2, dtype=torch.uint8), IMAGENET)
    assert not is_image(torch.zeros(1, 3, 2, 2, dtype=torch.int64), IMAGENET)
    assert not is_image(torch.zeros(1, 4, 2, 2), IMAGENET)
    assert not is_image(torch.zeros(3, 2, 2), IMAGENET)
    assert not is_image(torch.zeros(1, 3, 2, 2), None)
