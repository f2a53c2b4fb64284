import io
import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import example, given, settings

from iptq_mm.histogram import BINS
from iptq_mm.statistics import Statistics

floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
quick = settings(deadline=None, max_examples=60)


def seen(*tensors, channels=False):
    statistics = Statistics(channels)
    for x in tensors:
        statistics.update(x)
    return statistics


def same(a, b, extremes=True):
    x, y = a.state_dict(), b.state_dict()
    if not extremes:
        del x['extremes'], y['extremes']
    assert x.keys() == y.keys()
    for key, value in x.items():
        if isinstance(value, torch.Tensor):
            # Compared as bits: -0.0 is not 0.0 here.
            assert value.dtype == y[key].dtype, key
            assert value.numpy().tobytes() == y[key].numpy().tobytes(), key
        else:
            assert repr(value) == repr(y[key]), key


@quick
@given(st.lists(st.lists(floats, min_size=1), min_size=1, max_size=6), st.randoms())
@example([[-1e-45], [1e38]], None)
@example([[0.0], [-0.0], [0.0, -0.0]], None)
@example([[-2048.0], [2048.0]], None)
def test_order_and_partition_do_not_matter(shards, random):
    at_once = seen(torch.tensor(sum(shards, [])))
    in_turn = seen(*map(torch.tensor, shards))
    same(at_once, in_turn, extremes=False)
    if random is not None:
        random.shuffle(shards)
    else:
        shards = shards[::-1]
    merged = Statistics()
    for shard in shards:
        merged.merge(seen(torch.tensor(shard)))
    same(at_once, merged, extremes=False)


@quick
@given(st.lists(floats, min_size=1))
def test_every_value_lies_in_its_bin(values):
    x = torch.tensor(values)
    statistics = seen(x)
    histogram = statistics.histogram
    width = histogram.width
    expected = torch.zeros(BINS, dtype=torch.int64)
    for value in x.tolist():
        expected[math.floor(value / width) + BINS // 2] += 1
    assert torch.equal(histogram.counts, expected)
    assert int(histogram.counts.sum()) == statistics.count == len(values)
    # The finest bins that fit: half as wide, some value would fall outside.
    if histogram.exponent > -100:
        outer = [math.floor(v / (width / 2)) for v in (min(values), max(values))]
        assert not all(-BINS // 2 <= i < BINS // 2 for i in outer)


@quick
@given(st.lists(floats, min_size=1))
def test_samples_stand_for_the_values(values):
    statistics = seen(torch.tensor(values))
    centres, weights = statistics.samples()
    lower, upper, counts = statistics.bins()
    assert centres.shape == weights.shape == lower.shape
    assert weights.sum() == len(values)
    assert (weights > 0).all() and torch.equal(weights, counts)
    assert statistics.minimum <= centres.min() and centres.max() <= statistics.maximum
    assert (lower <= upper).all()
    assert lower[0] == statistics.minimum and upper[-1] == statistics.maximum


def test_samples_have_the_moments_of_the_data():
    x = torch.randn(100_000, generator=torch.Generator().manual_seed(0)) * 3 + 1
    values, weights = seen(x).samples()
    mean = (values * weights).sum() / weights.sum()
    square = (values.square() * weights).sum() / weights.sum()
    assert mean.item() == pytest.approx(x.double().mean().item(), abs=1e-4)
    assert square.item() == pytest.approx(x.double().square().mean().item(), rel=1e-4)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_other_types_count_as_float32(dtype):
    x = torch.linspace(-3, 5, 100).to(dtype)
    same(seen(x), seen(x.float()))


def test_views_count_as_their_values():
    x = torch.randn(2, 3, 8)
    for view in (x.transpose(1, 2), x[:, 1], x[..., ::2], x[:1].expand(4, 3, 8)):
        same(seen(view), seen(view.contiguous()))


def test_a_gradient_is_not_kept():
    x = torch.randn(4, requires_grad=True)
    assert not seen(x, channels=True).channel_minimum.requires_grad


def test_all_zero_data_and_no_data():
    zeros = seen(torch.zeros(10), torch.zeros(3))
    values, weights = zeros.samples()
    assert values.tolist() == [0.0] and weights.tolist() == [13.0]
    empty = seen(torch.zeros(0, 4))
    assert empty.count == 0 and not empty.extremes and not empty.samples()[0].numel()
    zeros.merge(empty)
    assert zeros.count == 13
    empty.merge(seen(torch.tensor([1.0, -2.0])))
    same(empty, seen(torch.tensor([1.0, -2.0])))


def test_extremes_are_by_call():
    a, b = torch.tensor([1.0, -1.0]), torch.tensor([2.0, 0.5])
    statistics = seen(a, b)
    assert statistics.extremes == [(-1.0, 1.0), (0.5, 2.0)]
    other = seen(torch.tensor([7.0]))
    statistics.merge(other)
    assert statistics.extremes[-1] == (7.0, 7.0) and len(other.extremes) == 1


def test_channels():
    x, y = torch.randn(2, 5, 3), torch.randn(7, 3)
    statistics = seen(x, y, channels=True)
    rows = torch.cat([x.reshape(-1, 3), y])
    assert torch.equal(statistics.channel_minimum, rows.amin(0))
    assert torch.equal(statistics.channel_maximum, rows.amax(0))
    assert statistics.minimum == rows.min() and statistics.maximum == rows.max()
    merged = seen(x, channels=True)
    merged.merge(seen(y, channels=True))
    same(statistics, merged)
    with pytest.raises(ValueError, match='3 channels'):
        statistics.update(torch.zeros(2, 1))
    with pytest.raises(ValueError, match='channels'):
        statistics.merge(Statistics())


@pytest.mark.parametrize('channels', [False, True])
@pytest.mark.parametrize('bad', [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_are_errors(bad, channels):
    statistics = seen(torch.ones(2, 2), channels=channels)
    before = statistics.state_dict()
    with pytest.raises(ValueError, match='check the weights'):
        statistics.update(torch.tensor([[1.0, bad], [2.0, 3.0]]))
    # A failed update leaves no trace.
    same(statistics, Statistics.from_state_dict(before))


@pytest.mark.parametrize('channels', [False, True])
def test_state_survives_a_safe_file(channels):
    statistics = seen(torch.randn(4, 3), torch.randn(2, 3) * 9, channels=channels)
    file = io.BytesIO()
    torch.save(statistics.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    loaded = Statistics.from_state_dict(state)
    same(statistics, loaded)
    assert loaded.extremes == statistics.extremes
    same(Statistics(), Statistics.from_state_dict(Statistics().state_dict()))
    # The state is a copy: what comes later does not change it.
    loaded.update(torch.ones(1, 3))
    same(statistics, Statistics.from_state_dict(state))
