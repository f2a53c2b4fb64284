"""Moments: exact sums, whatever the order."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iptq_mm.intmath import gram
from iptq_mm.moments import Moments

# Ranges of int8, of asymmetric 8-bit codes kept in 16 bits, and of 16 bits.
RANGES = [(-127, 127), (-128, 127), (-30, 225), (0, 255), (-255, 0), (-200, 200)]
RANGES += [(-32768, 32767), (3, 3), (0, 0)]


def integers(low, high, *shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(low, high + 1, shape, generator=generator)
    return values.to(torch.int8 if low >= -128 and high <= 127 else torch.int16)


def moments_of(q, scale=1.0):
    result = Moments(q.shape[-1], scale)
    result.update(q)
    return result


def same(a, b):
    return (
        (a.count, a.scale) == (b.count, b.scale)
        and torch.equal(a.sum, b.sum)
        and torch.equal(a.second, b.second)
    )


@pytest.mark.usefixtures('product_path')
@pytest.mark.parametrize(('low', 'high'), RANGES)
@pytest.mark.parametrize('shape', [(1, 1), (1, 5), (7, 1), (3, 4, 6), (700, 9)])
def test_sums_are_those_of_int64(low, high, shape):
    q = integers(low, high, *shape)
    result = moments_of(q)
    rows = q.reshape(-1, shape[-1]).long()
    assert result.count == len(rows)
    assert torch.equal(result.sum.long(), rows.sum(0))
    assert torch.equal(result.second.long(), rows.t() @ rows)
    assert result.sum.dtype == result.second.dtype == torch.float64


@pytest.mark.usefixtures('product_path')
@pytest.mark.parametrize('value', [-128, 127, 255, -32768])
def test_sums_of_extremes_are_exact(value):
    # More rows than the products of which float32 could sum.
    q = torch.full((3000, 2), value, dtype=torch.int16)
    q[:, 1] = -1
    result = moments_of(q)
    assert result.second.tolist() == [
        [3000 * value**2, -3000 * value],
        [-3000 * value, 3000],
    ]


@settings(deadline=None, max_examples=50)
@given(
    st.integers(0, 1000),
    st.sampled_from(RANGES),
    st.lists(st.integers(0, 40), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
)
def test_order_and_batches_do_not_matter(seed, limits, sizes, random):
    q = integers(*limits, sum(sizes), 5, seed=seed)
    parts = list(q.split(sizes))
    random.shuffle(parts)
    one_by_one, merged = Moments(5, 0.1), Moments(5, 0.1)
    for part in parts:
        one_by_one.update(part)
        rank = Moments(5, 0.1)
        rank.update(part)
        merged.merge(rank)
    whole = moments_of(q, 0.1)
    assert same(whole, one_by_one) and same(whole, merged)


def test_chunks_do_not_matter(monkeypatch):
    q = integers(-30, 225, 100, 4)
    whole = moments_of(q)
    monkeypatch.setattr(gram, 'multiplies_bytes', lambda device: False)
    monkeypatch.setattr(gram, 'FLOAT32_EXACT', 128**2 * 7)
    monkeypatch.setattr(gram, '_MIN_CHUNK', 1)
    assert same(whole, moments_of(q))


def test_real_units():
    q, scale = integers(-30, 225, 500, 6), 0.037
    result, x = moments_of(q, scale), q.double() * scale
    assert torch.allclose(result.mean, x.mean(0), rtol=1e-12)
    assert torch.allclose(result.second_moment, x.t() @ x / len(x), rtol=1e-12)
    assert torch.allclose(result.covariance, x.t().cov(correction=0), rtol=1e-9)


@settings(deadline=None, max_examples=50)
@given(st.integers(-(2**15), 2**15 - 1), st.integers(1, 300), st.integers(0, 99))
def test_what_never_changes_has_no_variance(value, rows, seed):
    q = integers(-32768, 32767, rows, 3, seed=seed)
    q[:, 1] = value
    assert moments_of(q, 0.1).covariance[1, 1] == 0


def test_nothing_comes():
    result = moments_of(integers(0, 9, 4, 3))
    before = moments_of(integers(0, 9, 4, 3))
    result.update(torch.empty(2, 0, 3, dtype=torch.int8))
    result.merge(Moments(3, 1.0))
    assert same(result, before)
    for name in ('mean', 'second_moment', 'covariance'):
        with pytest.raises(ValueError, match='no input was seen'):
            getattr(Moments(3, 1.0), name)


def test_saved_and_loaded(tmp_path):
    result = moments_of(integers(-200, 200, 50, 4), 0.3)
    torch.save(result.state_dict(), tmp_path / 'moments.pth')
    state = torch.load(tmp_path / 'moments.pth', weights_only=True)
    assert same(result, Moments.from_state_dict(state))
    state['second'] = state['second'][:3]
    with pytest.raises(ValueError, match='damaged'):
        Moments.from_state_dict(state)


def nearly_full(room):
    """Moments with ``room`` left for squares of their only input."""
    state = moments_of(torch.ones(1, 1, dtype=torch.int8)).state_dict()
    state['second'] = state['second'] - 1 + (2.0**53 - 1 - room)
    return Moments.from_state_dict(state)


def test_sums_stay_exact_or_it_is_an_error():
    full = nearly_full(100)
    full.update(torch.full((1, 1), 10, dtype=torch.int8))
    assert full.second.item() == 2**53 - 1
    for room, value in ((99, 10), (0, 1), (0, -1)):
        full, q = nearly_full(room), torch.full((1, 1), value, dtype=torch.int8)
        with pytest.raises(OverflowError, match='fewer images'):
            full.update(q)
        with pytest.raises(OverflowError, match='fewer images'):
            full.merge(moments_of(q))
        assert same(full, nearly_full(room))


@pytest.mark.parametrize(
    ('q', 'match'),
    [
        (torch.ones(2, 3), 'of integers, not of torch.float32'),
        (torch.ones(2, 3, dtype=torch.bool), 'of integers'),
        (torch.ones(3, 2, dtype=torch.int8), 'rows of 3 inputs'),
        (torch.ones((), dtype=torch.int8), 'rows of 3 inputs'),
        (torch.full((1, 3), 2**16), 'beyond 16 bits'),
    ],
)
def test_inputs_that_are_none(q, match):
    with pytest.raises(ValueError, match=match):
        Moments(3, 1.0).update(q)


def test_other_errors():
    with pytest.raises(ValueError, match='0 features'):
        Moments(0, 1.0)
    for scale in (0.0, -1.0, float('nan'), float('inf')):
        with pytest.raises(ValueError, match='scale is positive'):
            Moments(3, scale)
    for other in (Moments(4, 1.0), Moments(3, 2.0)):
        with pytest.raises(ValueError, match='do not add'):
            Moments(3, 1.0).merge(other)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 99), st.sampled_from(RANGES), st.integers(1, 9))
def test_a_weight_is_a_number_of_rows(seed, limits, rows):
    q = integers(*limits, rows, 5, seed=seed)
    weights = integers(0, 100, rows, seed=seed + 1)
    weighted = Moments(5, 1.0)
    weighted.update(q, weights)
    repeated = q.repeat_interleave(weights.long(), 0)
    assert same(weighted, moments_of(repeated))


@pytest.mark.usefixtures('product_path')
@pytest.mark.parametrize('low', [-128, -30, 0, 32000])
def test_weighted_sums_are_those_of_int64(low):
    q = integers(low, low + 255, 900, 7).to(torch.int16)
    weights = integers(0, 4095, 900, seed=1).long()
    weights[0] = 2**13
    heavy = Moments(7, 1.0)
    heavy.update(q, weights)
    weighted = weights[:, None] * q.long()
    assert torch.equal(heavy.sum.long(), weighted.sum(0))
    assert torch.equal(heavy.second.long(), weighted.t() @ q.long())


def test_weighted_sums_are_exact():
    rows = torch.full((3, 2), -(2**15), dtype=torch.int16)
    heavy = Moments(2, 1.0)
    heavy.update(rows, torch.full((3,), 4095))
    assert heavy.second.tolist() == [[3 * 4095 * 2.0**30] * 2] * 2
    with pytest.raises(OverflowError, match='fewer images'):
        heavy.update(rows, torch.full((3,), 2**23))
