"""Arithmetic of ONNX graphs against torch's, on numbers of all lengths."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_cases import agrees, computed, wide_numbers

from iptq_mm.program.backends.onnx.arithmetic import (
    elementwise,
    floor_divide,
    multiply,
    scaled,
    shift_left,
    shift_right,
)
from iptq_mm.program.backends.onnx.builder import Builder, limits

FULL = {'int32': limits('int32'), 'int64': limits('int64')}
DTYPES = {'int32': torch.int32, 'int64': torch.int64}


def numbers(dtype, count=400, seed=0):
    return wide_numbers(count, seed, 31 if dtype == 'int32' else 63).to(DTYPES[dtype])


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('amount', [-1, 0, 1, 7, 31, 32, 33, 62, 63, 64, 100])
def test_shifts_by_a_number(dtype, amount):
    x = numbers(dtype)
    for full in (None, [FULL[dtype]]):
        agrees(lambda b, q: shift_right(b, q, amount), x >> amount, x, bounds=full)
        left = x << amount
        agrees(lambda b, q: shift_left(b, q, amount, dtype), left, x, bounds=full)


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('negative', [True, False])
def test_shifts_by_tensors(dtype, negative):
    x = numbers(dtype)
    amount = torch.arange(400, dtype=x.dtype) % 70 - (3 if negative else 0)
    for y in (x, x.abs().clamp_min(0)):
        agrees(lambda b, q, s: shift_right(b, q, s), y >> amount, y, amount)
        agrees(lambda b, q, s: shift_left(b, q, s, dtype), y << amount, y, amount)
    channels = torch.arange(8, dtype=torch.int64) * 9
    rows = x.view(50, 8)
    agrees(lambda b, q: shift_right(b, q, channels), rows >> channels, rows)


def test_amounts_of_another_type():
    x, amount = numbers('int64'), torch.arange(400, dtype=torch.int32) % 60
    agrees(lambda b, q, s: shift_right(b, q, s), x >> amount, x, amount)


def test_amounts_far_beyond_the_bits():
    x = numbers('int32').long()
    amount = wide_numbers(400, seed=3)
    agrees(lambda b, q, s: shift_right(b, q, s), x >> amount, x, amount)
    left = x << amount
    agrees(lambda b, q, s: shift_left(b, q, s, 'int64'), left, x, amount)


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('positive', [True, False])
def test_floor_division(dtype, positive):
    x, y = numbers(dtype), numbers(dtype, seed=1)
    y = torch.where((y == 0) | (y == -1), 3, y)
    if positive:
        y = y.abs().clamp_min(1)
    agrees(lambda b, p, q: floor_divide(b, p, q, dtype), x // y, x, y)
    x = x.abs().clamp_min(0)
    agrees(lambda b, p, q: floor_divide(b, p, q, dtype), x // y, x, y)


@pytest.mark.parametrize('x', [-7, -6, -1, 0, 1, 6, 7])
@pytest.mark.parametrize('y', [-3, -1, 1, 3])
def test_floor_division_of_small_numbers(x, y):
    pair = torch.tensor([x, x]), torch.tensor([y, y])
    agrees(lambda b, p, q: floor_divide(b, p, q, 'int64'), pair[0] // pair[1], *pair)


@pytest.mark.parametrize('dtype', DTYPES)
def test_overflow_wraps(dtype):
    x, y = numbers(dtype), numbers(dtype, seed=2)
    low, high = limits('int64')
    add = (low * 2, high * 2)
    agrees(lambda b, p, q: elementwise(b, 'Add', (p, q), add, dtype), x + y, x, y)
    agrees(lambda b, p, q: multiply(b, p, q, dtype), x * y, x, y)
    agrees(lambda b, p: multiply(b, p, p, dtype), x * x, x)


def test_what_fits_is_computed_in_32_bits():
    x = torch.arange(-100, 100)
    for build in (
        lambda b, q: multiply(b, q, q, 'int64'),
        lambda b, q: shift_right(b, q, 3),
        lambda b, q: elementwise(b, 'Add', (q, q), (-200, 198), 'int64'),
    ):
        result, made = computed(build, x)
        assert result.dtype == torch.int32 and made.dtype == 'int32'
    _, square = computed(lambda b, q: multiply(b, q, q, 'int64'), x)
    assert square.low == 0


@settings(max_examples=40, deadline=None)
@given(
    st.integers(-(2**31) + 1, 2**31 - 1),
    st.integers(1, 62),
    st.integers(-(2**61), 2**61),
    st.integers(0, 1000),
)
def test_requantization(multiplier, shift, offset, seed):
    x = wide_numbers(50, seed, 30)
    expected = (x * multiplier + offset) >> shift
    agrees(lambda b, q: scaled(b, q, multiplier, offset, shift), expected, x)


def test_requantization_by_channel():
    x = wide_numbers(400, 3, 31).view(50, 8)
    generator = torch.Generator().manual_seed(0)
    multiplier = torch.randint(-(2**31), 2**31, (8,), generator=generator)
    shift = torch.tensor([1, 2, 30, 31, 32, 33, 61, 62])
    offset = torch.randint(-(2**61), 2**61, (8,), generator=generator)
    expected = (x * multiplier + offset) >> shift
    agrees(lambda b, q: scaled(b, q, multiplier, offset, shift), expected, x)


def test_a_constant_that_does_not_fit():
    with pytest.raises(OverflowError, match='int8 does not hold 200..200'):
        Builder().constant(200, 'int8')
    with pytest.raises(OverflowError, match='int8 for numbers in -5..200'):
        computed(lambda b, q: b.cast(q, 'int8'), torch.tensor([-5, 200]))


def test_no_floats():
    with pytest.raises(TypeError, match='float32 in an integer graph'):
        Builder().constant(1, 'float32')
    with pytest.raises(TypeError, match='float32 in an integer graph'):
        computed(lambda b, q: b.wrap(q, 'float32'), torch.tensor([1]))
