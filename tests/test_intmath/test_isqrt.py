import math

import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from iptq_mm.intmath import bit_length, isqrt

values = st.integers(0, 62).flatmap(lambda bits: st.integers(0, 2**bits))


@settings(deadline=None, max_examples=300)
@given(values)
@example(2**62)
@example(2**62 - 1)
def test_matches_python(value):
    out = isqrt(torch.tensor([value]))
    assert out.dtype == torch.int64 and out.item() == math.isqrt(value)


@settings(deadline=None, max_examples=300)
@given(st.integers(0, 2**31))
def test_around_perfect_squares(root):
    around = [max(0, root * root - 1), root * root, min(root * root + 1, 2**62)]
    expected = [math.isqrt(value) for value in around]
    assert isqrt(torch.tensor(around)).tolist() == expected


def test_every_small_number():
    value = torch.arange(70000)
    expected = torch.tensor([math.isqrt(i) for i in range(70000)])
    assert torch.equal(isqrt(value), expected)
    assert torch.equal(isqrt(value.to(torch.int32)), expected)


@settings(deadline=None)
@given(st.integers(0, 2**63 - 1))
@example(0)
@example(1)
@example(2**63 - 1)
def test_bit_length(value):
    assert bit_length(torch.tensor([value])).item() == value.bit_length()


def test_shapes():
    value = torch.arange(24).view(2, 3, 4)
    assert isqrt(value).shape == bit_length(value).shape == (2, 3, 4)
