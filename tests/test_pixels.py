"""Normalized images as the pixels that they were."""

import math
import warnings
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from iptq_mm.pixels import MARK, PIXEL_QPARAMS, Pixels, is_image

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
    assert IMAGENET.zero_point == (-4, -12, -24)
    zero = torch.tensor(IMAGENET.zero_point).view(1, 3, 1, 1)
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


MARKED = replace(IMAGENET, marked=True)


def padded_images(whole: bool = True) -> torch.Tensor:
    """Two normalized images of pixels; the second has two padded columns."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (2, 3, 4, 5), generator=generator).float()
    x = IMAGENET.normalized(pixels - 128 + (0 if whole else 0.3))
    x[1, :, :, 3:] = 0.0
    return x


def test_padding_is_marked_and_exact():
    x = padded_images()
    centred = MARKED.centred(x)
    assert centred.shape == (2, 4, 4, 5)
    assert torch.equal(centred[:, :3], IMAGENET.centred(x))
    assert torch.equal(centred[:, 3] != 0, (x == 0).all(1))
    assert (centred[1, :, :, 3:] == torch.tensor(MARKED.zero_point).view(4, 1, 1)).all()
    assert torch.equal(MARKED.integers(x), centred.to(torch.int8))
    # 0.0 comes back as such; without marks half a grey level may lie between.
    assert (MARKED.normalized(centred)[1, :, :, 3:] == 0).all()
    assert torch.allclose(MARKED.normalized(centred), x, atol=1e-5)
    assert (IMAGENET.normalized(centred[:, :3])[1, :, :, 3:] != 0).all()


def test_one_channel_of_zeros_is_no_padding():
    whole = Pixels((3.0, 116.28), (1.0, 57.0), marked=True)
    x = torch.zeros(1, 2, 1, 2)
    x[0, 1, 0, 1] = 0.5
    assert whole.centred(x)[0, 2].tolist() == [[MARK, 0]]


def test_uint8_has_no_marks():
    image = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)
    image[0] = 124
    for made in (MARKED.centred(image), MARKED.integers(image)):
        assert made.shape == (2, 4, 4, 5) and not made[:, 3].any()
    assert torch.equal(MARKED.integers(image)[:, :3], IMAGENET.integers(image))


def test_distance_from_pixels():
    assert IMAGENET.away(padded_images()) < 1e-4
    assert IMAGENET.away(padded_images(whole=False)) == pytest.approx(0.3, abs=1e-3)
    assert IMAGENET.away(torch.full((1, 3, 2, 2), 5.0)) > 100
    for bad in (math.nan, math.inf):
        x = padded_images()
        x[0, 0, 0, 0] = bad
        assert IMAGENET.away(x) == math.inf
    assert IMAGENET.away(torch.zeros(0, 3, 2, 2)) == 0


def test_clipping_is_noticed():
    x = padded_images()
    assert not IMAGENET.beyond(x) and not IMAGENET.beyond(x[:0])
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        IMAGENET.centred(x)
    low, high = IMAGENET.real_range()
    assert float(x.min()) > low and float(x.max()) < high
    for beyond in (-1.0, 256.0):
        x[1, 2, 0, 0] = (beyond - IMAGENET.mean[2]) / IMAGENET.std[2]
        assert IMAGENET.beyond(x)
        with pytest.warns(UserWarning, match='clipped to 8 bits.*pixels=False'):
            IMAGENET.centred(x)


def test_marks_are_kept():
    assert Pixels.from_dict(MARKED.to_dict()) == MARKED
    # What has none is written as before there were any.
    assert IMAGENET.to_dict().keys() == {'mean', 'std'}
    assert not IMAGENET.zero_point_is_exact
    assert Pixels((128.0, 0.0), (1.0, 1.0)).zero_point_is_exact
    assert not Pixels((128.0, -1.0), (1.0, 1.0)).zero_point_is_exact
