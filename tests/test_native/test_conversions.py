"""Floats to integers and back by the library: torch's own, to the last bit."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iptq_mm.intmath import QParams
from iptq_mm.native import library
from iptq_mm.native.conversions import dequantize, pixel_integers, quantize
from iptq_mm.pixels import Pixels

RANGES = [(-127, 127), (-100, 155), (-32767, 32767), (-(2**30), 2**30)]


@pytest.mark.parametrize('bounds', RANGES)
@pytest.mark.parametrize('size', [1, 7, 4096, 13001])
def test_quantize(level, bounds, size, three_threads):
    qparams = QParams(0.0123456789, *bounds)
    x = torch.randn(size) * qparams.scale * bounds[1]
    # Halves, which go to the even neighbour, and what is far outside.
    x[: size // 2] = (torch.arange(size // 2) + 0.5) * 0.0123456789
    x[-1] = math.inf
    x[0] = -3e38
    made, expected = quantize(x, qparams), qparams.quantize(x)
    assert made.dtype == expected.dtype and torch.equal(made, expected)


@given(
    st.floats(1e-12, 1e6),
    st.lists(st.floats(-1e9, 1e9, width=32), min_size=1, max_size=40),
)
@settings(max_examples=60, deadline=None)
def test_any_scale(scale, numbers):
    x, previous = torch.tensor(numbers), library.level()
    for name in library.levels():
        library.use_level(name)
        for bounds in RANGES:
            qparams = QParams(scale, *bounds)
            assert torch.equal(quantize(x, qparams), qparams.quantize(x))
    library.use_level(previous)


@pytest.mark.parametrize('dtype', [torch.int8, torch.int16, torch.int32, torch.int64])
def test_dequantize(level, dtype):
    info = torch.iinfo(dtype)
    q = torch.randint(info.min // 2, info.max // 2, (3, 1700)).to(dtype).t()
    made = dequantize(q, 0.1234567891)
    assert torch.equal(made, q.to(torch.float32) * 0.1234567891)
    assert made.is_contiguous()


def test_other_floats_are_left_to_torch(level):
    qparams = QParams(0.1, -9, 9)
    for dtype in (torch.float64, torch.float16):
        x = torch.randn(4, 5).to(dtype)
        assert torch.equal(quantize(x, qparams), qparams.quantize(x))


def test_views(level):
    x, qparams = torch.randn(5, 6, 7), QParams(0.1, -90, 90)
    moved = x.permute(2, 0, 1)[:, ::2]
    assert torch.equal(quantize(moved, qparams), qparams.quantize(moved))


@pytest.mark.parametrize('shape', [(1, 3, 1, 1), (2, 3, 17, 19), (1, 3, 128, 160)])
def test_pixels_alone(level, shape, three_threads):
    pixels = Pixels((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
    images = torch.randint(0, 256, shape, dtype=torch.uint8)
    x = pixels.normalized(images.int() - 128)
    assert torch.equal(pixel_integers(x, pixels), (images.int() - 128).to(torch.int8))
    assert torch.equal(pixel_integers(images, pixels), pixels.integers(images))
    # Whatever somebody else made of them, turned, beyond the range, not contiguous.
    for other in (x * 3 + 0.1, x.transpose(2, 3) * 1.01, x.double()):
        assert torch.equal(pixel_integers(other, pixels), pixels.integers(other))


@pytest.mark.parametrize('shape', [(1, 3, 17, 19), (3, 3, 40, 41), (0, 3, 4, 4)])
def test_marked_pixels(level, shape, three_threads):
    pixels = Pixels((123.675, 116.28, 103.53), (58.395, 57.12, 57.375), marked=True)
    images = torch.randint(0, 256, shape, dtype=torch.uint8)
    x = (images - torch.tensor(pixels.mean).view(3, 1, 1)) / 57.0
    x[-1:, :, 5:] = 0.0
    x[:, 1:, :1] = 0.0
    for other in (x, images, x.transpose(2, 3), x.double(), x.half()):
        made = pixel_integers(other, pixels)
        assert made.dtype == torch.int8 and made.is_contiguous()
        assert torch.equal(made, pixels.integers(other))
