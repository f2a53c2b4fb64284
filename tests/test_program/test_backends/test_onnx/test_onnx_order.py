"""Clamping, extremes and sums, on numbers that ONNX Runtime's operators miss."""

import pytest
import torch
from onnx_cases import agrees, computed, wide_numbers

from iptq_mm.program import ProgramError
from iptq_mm.program.backends.onnx.order import clamp, extreme, largest, total

#: Bounds around the ends of 32 bits, where ONNX Runtime's Clip errs.
BOUNDS = [
    (-128, 127),
    (-(2**31), 2**31),
    (0, 2**32),
    (2**31, None),
    (None, 2**31),
    (None, -(2**40)),
    (0, None),
    (None, None),
    (5, -5),
]


@pytest.mark.parametrize(('low', 'high'), BOUNDS)
@pytest.mark.parametrize('bits', [8, 31, 63])
def test_clamp(low, high, bits):
    x = wide_numbers(400, 1, bits)
    expected = x if low is None and high is None else x.clamp(low, high)
    agrees(lambda b, q: clamp(b, q, low, high), expected, x)
    if bits == 31:
        x = x.to(torch.int32)
        agrees(lambda b, q: clamp(b, q, low, high), expected, x)


def test_clamp_of_what_lies_within_is_nothing():
    x = torch.arange(-5, 6)
    _, made = computed(lambda b, q: clamp(b, q, -5, 5), x)
    assert made.name == 'input_0'


@pytest.mark.parametrize('bits', [8, 31, 33, 63])
def test_extremes(bits):
    x, y = wide_numbers(400, 1, bits), wide_numbers(400, 2, bits).flip(0)
    for p, q in ((x, y), (x.abs().clamp_min(0), y.abs().clamp_min(0)), (x, y[:1])):
        agrees(lambda b, m, n: extreme(b, 'Min', m, n), torch.minimum(p, q), p, q)
        agrees(lambda b, m, n: extreme(b, 'Max', m, n), torch.maximum(p, q), p, q)


@pytest.mark.parametrize('keep', [True, False])
@pytest.mark.parametrize('axes', [[-1], [0], [0, 2]])
def test_largest(axes, keep):
    for x in (wide_numbers(120, 1, 31), wide_numbers(120, 1, 31).to(torch.int32)):
        x = x.view(4, 5, 6)
        agrees(lambda b, q: largest(b, q, axes, keep), x.amax(axes, keep), x)
    x = torch.randint(-(2**15), 2**15, (4, 5, 6), dtype=torch.int16)
    agrees(lambda b, q: largest(b, q, axes, keep), x.amax(axes, keep), x)


def test_largest_of_64_bits():
    x = wide_numbers(120)
    with pytest.raises(ProgramError, match='largest of 64-bit numbers'):
        computed(lambda b, q: largest(b, q, [0], True), x)


@pytest.mark.parametrize('keep', [True, False])
@pytest.mark.parametrize('axes', [[-1], [0], [1], [0, 2], [2, 1], [0, 1, 2]])
@pytest.mark.parametrize('bits', [12, 31, 56, 63])
def test_sums(axes, keep, bits):
    x = wide_numbers(120, 1, bits).view(4, 5, 6)
    expected = x.sum(axes, keep)
    agrees(lambda b, q: total(b, q, x.shape, axes, expected.shape), expected, x)
    if bits == 12:
        x = x.to(torch.int16)
        agrees(lambda b, q: total(b, q, x.shape, axes, expected.shape), expected, x)
