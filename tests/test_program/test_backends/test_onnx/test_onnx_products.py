"""Products by bytes against those of 64-bit integers."""

import pytest
import torch
from onnx_cases import agrees, computed

from iptq_mm.program import ProgramError
from iptq_mm.program.backends.onnx.products import product

#: Bounds of a factor: bytes of both kinds, asymmetric ones, two and more bytes.
RANGES = [
    (-128, 127),
    (0, 255),
    (-37, 218),
    (-255, 0),
    (3, 9),
    (0, 65535),
    (-32768, 32767),
    (-300, 20),
    (0, 256),
    (-(2**23), 2**23),
    (-(2**31), 2**31 - 1),
]


def factor(bounds, *shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(bounds[0], bounds[1] + 1, shape, generator=generator)
    x.view(-1)[:2] = torch.tensor(bounds)
    for dtype in (torch.int8, torch.int16, torch.int32):
        info = torch.iinfo(dtype)
        if info.min <= bounds[0] and bounds[1] <= info.max:
            return x.to(dtype)
    raise AssertionError(bounds)


@pytest.mark.parametrize('left', RANGES)
@pytest.mark.parametrize('right', [(-128, 127), (-37, 218), (-32768, 32767)])
def test_products_of_values(left, right):
    x, y = factor(left, 2, 3, 5, 7), factor(right, 2, 3, 7, 4, seed=1)
    expected = x.long() @ y.long()

    def build(b, p, q):
        return product(b, 'MatMulInteger', p, q, 7, int(expected.abs().max()))

    agrees(build, expected, x, y, bounds=[left, right])


@pytest.mark.parametrize('left', RANGES)
@pytest.mark.parametrize('weight', [(-127, 127), (-7, 7), (-200, 100), (-999, 999)])
def test_products_with_weights(left, weight):
    x, w = factor(left, 5, 7), factor(weight, 4, 7, seed=1)
    expected = x.long() @ w.long().t()

    def build(b, q):
        return product(b, 'MatMulInteger', q, w.t(), 7, int(expected.abs().max()))

    agrees(build, expected, x, bounds=[left])


@pytest.mark.parametrize('left', RANGES)
def test_convolutions(left):
    x, w = factor(left, 2, 4, 9, 8), factor((-127, 127), 6, 2, 3, 2, seed=1)
    options = dict(stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2)
    expected = torch.nn.functional.conv2d(x.long(), w.long(), **options)

    def build(b, q):
        return product(
            b,
            'ConvInteger',
            q,
            w,
            12,
            int(expected.abs().max()),
            strides=[2, 1],
            pads=[1, 2, 1, 2],
            dilations=[1, 2],
            group=2,
        )

    agrees(build, expected, x, bounds=[left])


def test_bytes_make_one_product_in_32_bits():
    x, w = factor((-37, 218), 5, 7), factor((-127, 127), 4, 7)
    result, made = computed(
        lambda b, q: product(b, 'MatMulInteger', q, w.t(), 7, 10**6), x
    )
    assert result.dtype == torch.int32 and made.low == -(10**6)


def test_too_many_terms():
    x = factor((-128, 127), 1, 40000)
    with pytest.raises(ProgramError, match='40000 products of bytes exceed 32 bits'):
        computed(lambda b, p: product(b, 'MatMulInteger', p, p, 40000, 1), x)
