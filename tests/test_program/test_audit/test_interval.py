"""Intervals against all their numbers."""

import math
import operator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from iptq_mm.program.audit.interval import Interval, Unproven

intervals = st.tuples(st.integers(-40, 40), st.integers(0, 20)).map(
    lambda pair: Interval(pair[0], pair[0] + pair[1])
)
shifts = st.tuples(st.integers(0, 9), st.integers(0, 5)).map(
    lambda pair: Interval(pair[0], pair[0] + pair[1])
)


def numbers(interval: Interval) -> range:
    return range(interval.low, interval.high + 1)


def hull(results: list[int]) -> Interval:
    return Interval(min(results), max(results))


@pytest.mark.parametrize('name', ['add', 'sub', 'mul'])
@given(a=intervals, b=intervals)
def test_two_operands_are_exact(name, a, b):
    function = getattr(operator, name)
    exact = hull([function(x, y) for x in numbers(a) for y in numbers(b)])
    assert function(a, b) == exact


@pytest.mark.parametrize('name', ['lshift', 'rshift'])
@given(a=intervals, b=shifts)
def test_shifts_are_exact(name, a, b):
    function = getattr(operator, name)
    exact = hull([function(x, y) for x in numbers(a) for y in numbers(b)])
    assert function(a, b) == exact


@given(a=intervals, b=intervals)
def test_quotients_are_exact(a, b):
    if 0 in numbers(b):
        for divide in (operator.floordiv, Interval.truncated):
            with pytest.raises(Unproven, match='the divisor may be 0'):
                divide(a, b)
        return
    pairs = [(x, y) for x in numbers(a) for y in numbers(b)]
    assert a // b == hull([x // y for x, y in pairs])
    assert a.truncated(b) == hull([math.trunc(x / y) for x, y in pairs])


@given(a=intervals)
def test_one_operand_is_exact(a):
    assert -a == hull([-x for x in numbers(a)])
    assert abs(a) == hull([abs(x) for x in numbers(a)])
    assert a.bound == max(map(abs, numbers(a)))
    if a.low >= 0:
        assert a.root() == hull([math.isqrt(x) for x in numbers(a)])
        assert a.bit_lengths() == hull([x.bit_length() for x in numbers(a)])


@given(a=intervals, mask=st.integers(0, 70), swap=st.booleans())
def test_masks(a, mask, swap):
    point = Interval.point(mask)
    seen = hull([x & mask for x in numbers(a)])
    result = point & a if swap else a & point
    assert result.holds(seen)
    assert result.low >= 0 and result.high <= mask


def test_what_bits_two_ranges_share_is_not_known():
    with pytest.raises(Unproven, match='neither is a mask'):
        Interval(0, 5) & Interval(1, 6)


@given(a=intervals, b=intervals)
def test_join_and_meet(a, b):
    both = set(numbers(a)) & set(numbers(b))
    assert a.join(b) == hull([*numbers(a), *numbers(b)])
    assert a.join(b).holds(a) and a.join(b).holds(b)
    if both:
        assert set(numbers(a.meet(b))) == both
    else:
        with pytest.raises(Unproven, match='is no interval'):
            a.meet(b)


@pytest.mark.parametrize('amount', [Interval(-1, 3), Interval(0, 64)])
def test_shifts_that_are_not_defined(amount):
    for shift in (operator.lshift, operator.rshift):
        with pytest.raises(Unproven, match='a shift by'):
            shift(Interval(0, 1), amount)


@pytest.mark.parametrize('dtype', [torch.int8, torch.int16, torch.int32, torch.int64])
def test_types(dtype):
    interval = Interval.of_type(dtype)
    assert interval.high == -interval.low - 1 == torch.iinfo(dtype).max
    assert interval.holds(Interval.of_type(torch.bool))
    assert Interval.of_tensor(torch.tensor([3, -7], dtype=dtype)) == Interval(-7, 3)
    assert Interval.of_tensor(torch.zeros(0, dtype=dtype)) == Interval.point(0)
