import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iptq_mm.intmath import Dyadic, dyadic, requantize

signs = st.sampled_from([-1, 1])


@settings(deadline=None)
@given(st.floats(-50, 25), signs, st.integers(8, 32))
def test_multiplier_is_as_near_as_its_bits(log2_ratio, sign, bits):
    ratio = sign * 2.0**log2_ratio
    try:
        multiplier, shift = dyadic(ratio, bits)
    except OverflowError:
        assert log2_ratio > 63 - bits - 31 or log2_ratio > min(31, 63 - bits) - 2
        return
    assert 1 <= shift <= 62
    assert abs(multiplier) <= 2**31
    error = abs(Fraction(multiplier, 1 << shift) - Fraction(ratio))
    assert error <= Fraction(1, 1 << shift) / 2 + Fraction(abs(ratio)) / 2**31


@settings(deadline=None)
@given(st.integers(-(2**31) + 1, 2**31 - 1), st.floats(-40, 5), signs)
def test_requantize_matches_python(q, log2_ratio, sign):
    factor = dyadic(sign * 2.0**log2_ratio, 32)
    multiplier, shift = factor
    expected = (q * multiplier + (1 << (shift - 1))) >> shift
    assert -(2**63) <= q * multiplier + (1 << (shift - 1)) < 2**63
    out = requantize(torch.tensor([q]), factor)
    assert out.dtype == torch.int64 and out.item() == expected


@settings(deadline=None)
@given(st.lists(st.floats(1e-6, 8), min_size=1, max_size=5), st.data())
def test_channels_are_like_numbers(ratios, data):
    q = [data.draw(st.integers(-(2**31) + 1, 2**31 - 1)) for _ in ratios]
    factor = dyadic(torch.tensor(ratios, dtype=torch.float64))
    out = requantize(torch.tensor(q), factor)
    for i, ratio in enumerate(ratios):
        alone = requantize(torch.tensor([q[i]]), dyadic(ratio))
        assert out[i] == alone[0]


@settings(deadline=None)
@given(st.integers(-(2**31) + 1, 2**31 - 1))
def test_one_is_exact(q):
    assert requantize(torch.tensor([q]), dyadic(1.0)).item() == q


def test_halves_round_up():
    out = requantize(torch.tensor([-3, -1, 1, 3]), dyadic(0.5))
    assert out.tolist() == [-1, 0, 1, 2]


def test_narrow_inputs_are_widened():
    q = torch.tensor([127, -128], dtype=torch.int8)
    assert requantize(q, dyadic(100.0)).tolist() == [12700, -12800]


def test_zero_and_tiny_ratios():
    q = torch.tensor([2**31 - 1, -(2**31) + 1])
    assert requantize(q, dyadic(0.0)).tolist() == [0, 0]
    assert requantize(q, dyadic(1e-30)).tolist() == [0, 0]


def test_shape_is_kept():
    factor = dyadic(torch.rand(3, 1, dtype=torch.float64))
    assert isinstance(factor, Dyadic)
    assert factor.multiplier.shape == (3, 1)
    assert requantize(torch.ones(3, 4).long(), factor).shape == (3, 4)


@pytest.mark.parametrize('ratio', [math.inf, -math.inf, math.nan])
def test_not_finite(ratio):
    with pytest.raises(ValueError):
        dyadic(ratio)


def test_too_large():
    with pytest.raises(OverflowError):
        dyadic(2.0**31, 32)
    with pytest.raises(OverflowError):
        dyadic(torch.tensor([1.0, 2.0**40], dtype=torch.float64), 32)
