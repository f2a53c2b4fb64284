"""What is true of one observer, or of two beside each other."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given
from observer_cases import build, normal, quick, seen, squared_error, values

from iptq_mm.calibration.observers import Samples, quantizers
from iptq_mm.intmath import QParams
from iptq_mm.registry import OBSERVERS


@pytest.mark.parametrize(
    'options',
    [
        dict(type='ema', momentum=1.0),
        dict(type='percentile', percentile=50),
        dict(type='percentile', percentile=101),
        dict(type='mse', steps=101),
        dict(type='mse', norm=0),
        dict(type='minmax', room=0.9),
    ],
)
def test_impossible_options(options):
    with pytest.raises(ValueError):
        OBSERVERS.build(options)


@quick
@given(
    st.floats(-100, 100, width=32),
    st.floats(-100, 100, width=32),
    st.integers(2, 16),
    st.booleans(),
)
def test_quantizers_agree_with_qparams(a, b, bits, symmetric):
    low, high = min(a, b, 0.0), max(a, b, 0.0)
    if symmetric:
        expected = QParams.symmetric(high, bits)
    else:
        expected = QParams.asymmetric(low, high, bits)
    row = (torch.tensor([v], dtype=torch.float64) for v in (low, high))
    found = QParams(*(v.item() for v in quantizers(*row, bits, symmetric)))
    assert found == expected


def test_minmax():
    x = torch.tensor([[1.0, -3.0], [2.0, 0.5]])
    assert build('minmax').range(seen(x), 8, False) == (-3.0, 2.0)
    assert build('minmax').range(seen(x), 8, True) == (-3.0, 3.0)
    assert (
        build('minmax').scales(x, 8).tolist()
        == (torch.tensor([3.0, 2.0]) / 127).tolist()
    )


def test_ema():
    calls = [
        torch.tensor([-1.0, 2.0]),
        torch.tensor([-3.0, 6.0]),
        torch.tensor([0.0, 2.0]),
    ]
    low, high = build('ema', momentum=0.5).range(seen(*calls), 8, False)
    assert low.item() == (-1 - 3) / 2 / 2 and high.item() == ((2 + 6) / 2 + 2) / 2
    low, high = build('ema').range(seen(*calls[:2]), 8, False)
    assert low.item() == pytest.approx(-1.1) and high.item() == pytest.approx(2.2)


def test_percentile_of_a_uniform_histogram():
    x = torch.arange(-1024, 1024) / 1024 + 1 / 2048
    statistics = seen(x)
    low, high = build('percentile', percentile=90).range(statistics, 8, False)
    assert low.item() == pytest.approx(-0.8, abs=1e-3)
    assert high.item() == pytest.approx(0.8, abs=1e-3)
    low, high = build('percentile', percentile=100).range(statistics, 8, False)
    assert (low.item(), high.item()) == (x.min().item(), x.max().item())


def test_percentile_interpolates_inside_a_bin():
    # 3 values in bin [-1, -0.5] (clipped to -0.75), 1 in bin [1, 1.5], ...
    samples = Samples(
        torch.tensor([[-0.75, 1.0]]).double(),
        torch.tensor([[-0.5, 1.5]]).double(),
        torch.tensor([[3.0, 1.0]]).double(),
        torch.tensor([-0.75]).double(),
        torch.tensor([1.5]).double(),
        width=0.5,
    )
    low, high = build('percentile', percentile=90).range(samples, 8, False)
    assert low.item() == pytest.approx(-0.75 + 0.25 * (0.4 / 3))
    assert high.item() == pytest.approx(1.0 + 0.5 * 0.6)


def test_percentile_of_weights_is_torch_quantile():
    weight = normal(6, 501)
    samples = Samples.from_weight(weight)
    low, high = build('percentile', percentile=99).range(samples, 8, False)
    exact = torch.quantile(weight, torch.tensor([0.01, 0.99]), dim=1)
    assert torch.allclose(low.float(), exact[0]) and torch.allclose(
        high.float(), exact[1]
    )


def test_percentile_drops_an_outlier_but_not_all_of_sparse_data():
    x = torch.cat([normal(100_000), torch.tensor([1000.0])])
    assert build('percentile').range(seen(x), 8, True)[1].item() < 5
    sparse = torch.zeros(100_000)
    sparse[0] = 2.0
    assert build('percentile').range(seen(sparse), 8, True)[1].item() == 2.0


@pytest.mark.parametrize('norm', [1.0, 2.0, 2.4])
@pytest.mark.parametrize('bits', [2, 4, 8, 16])
def test_mean_error_in_bins_is_the_error_of_the_values(norm, bits):
    x = torch.rand(200_000, generator=torch.Generator().manual_seed(0)) * 3 - 1
    observer = build('mse', norm=norm)
    one = torch.ones(1, dtype=torch.float64)
    for grid in (
        quantizers(-one, 2 * one, bits, False),
        quantizers(-0.7 * one, 0.7 * one, bits, True),
    ):
        qparams = QParams(*(v.item() for v in grid))
        exact = (qparams.quantize(x).double() * qparams.scale - x.double()).abs()
        found = observer.error(Samples.from_statistics(seen(x)), *grid) / x.numel()
        assert found.item() == pytest.approx(exact.pow(norm).mean().item(), rel=0.02)


@pytest.mark.parametrize('bits', [2, 3, 4, 8])
@quick
@given(st.lists(values, min_size=1, max_size=3))
def test_mse_of_weights_is_never_above_minmax(bits, rows):
    width = max(map(len, rows))
    weight = torch.tensor([(row * width)[:width] for row in rows])

    def error(name):
        scales = build(name).scales(weight, bits)
        qmax = 2 ** (bits - 1) - 1
        rounded = (weight / scales[:, None]).round().clamp(-qmax, qmax)
        return (rounded * scales[:, None] - weight).double().square().sum(1)

    assert (error('mse') <= error('minmax') * (1 + 1e-5) + 1e-20).all()


@pytest.mark.parametrize('symmetric', [True, False])
@pytest.mark.parametrize('bits', [3, 4, 8])
def test_mse_beats_minmax_on_heavy_tails(bits, symmetric):
    x = normal(50_000) ** 3
    statistics = seen(x)
    best = squared_error(x, build('mse').qparams(statistics, bits, symmetric))
    full = squared_error(x, build('minmax').qparams(statistics, bits, symmetric))
    assert best < (0.97 if bits == 8 else 0.8) * full


def test_mse_of_a_normal_at_4_bits_is_the_known_optimum():
    # Optimal symmetric uniform quantizers of a standard normal clip at about
    # 2.5 sigma with 15 levels (Banner et al. 2019: 2.55 with 16).
    high = build('mse').range(seen(normal(200_000)), 4, True)[1]
    assert 2.35 < high.item() < 2.65


@pytest.mark.parametrize('symmetric', [True, False])
def test_histogram_drops_outliers_and_keeps_the_bulk(symmetric):
    x = torch.cat([normal(200_000), torch.tensor([40.0, -38.0])])
    low, high = build('histogram').range(seen(x), 8, symmetric)
    assert 3 < high.item() < 8 and -8 < low.item() < -3


def test_histogram_keeps_a_uniform_distribution():
    x = torch.rand(200_000, generator=torch.Generator().manual_seed(0)) * 2 - 1
    high = build('histogram').range(seen(x), 8, True)[1]
    assert high.item() > 0.97


def test_histogram_is_not_decided_by_zeros():
    x = normal(50_000).abs()
    with_zeros = torch.cat([x, torch.zeros(500_000)])
    plain = build('histogram').range(seen(x), 8, False)[1].item()
    padded = build('histogram').range(seen(with_zeros), 8, False)[1].item()
    assert padded == pytest.approx(plain, rel=0.15)


def test_histogram_of_data_on_one_side_of_zero():
    # 0.0 lies outside of all bins with data.
    for x in (
        torch.tensor([-1.0, -2.0]),
        torch.tensor([-1.5]),
        torch.tensor([5.0, 9.0]),
    ):
        low, high = build('histogram').range(seen(x), 2, False)
        assert low == min(x.min(), 0) or high == max(x.max(), 0)


def test_histogram_with_more_levels_than_bins_is_minmax():
    statistics = seen(normal(1000))
    assert build('histogram').range(statistics, 16, True) == build('minmax').range(
        statistics, 16, True
    )


def test_histogram_at_4_bits_clips_weights():
    weight = normal(4, 20_000) ** 3
    ratio = build('histogram').scales(weight, 4) / build('minmax').scales(weight, 4)
    assert (ratio < 0.9).all() and (ratio > 0.02).all()


def test_room_beyond_what_was_seen():
    values = torch.tensor([[-1.0, 0.5, 3.0]])
    samples = Samples.from_weight(values)
    plain, roomy = (build('minmax', **given) for given in ({}, {'room': 1.5}))
    low, high = roomy.range(samples, 8, symmetric=False)
    assert (low.item(), high.item()) == (-1.5, 4.5)
    assert roomy.qparams(samples, 16, True).scale == pytest.approx(
        1.5 * plain.qparams(samples, 16, True).scale
    )
