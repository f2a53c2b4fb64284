import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from iptq_mm.calibration.observers import Samples, quantizers
from iptq_mm.intmath import QParams
from iptq_mm.registry import OBSERVERS
from iptq_mm.statistics import Statistics

NAMES = ['minmax', 'ema', 'percentile', 'mse', 'histogram']
quick = settings(deadline=None, max_examples=30)
values = st.lists(
    st.floats(-(2.0**20), 2.0**20, width=32).filter(lambda v: v == 0 or abs(v) > 1e-6),
    min_size=1,
    max_size=60,
)


def build(name, **options):
    return OBSERVERS.build(dict(type=name, **options))


def seen(*tensors):
    statistics = Statistics()
    for x in tensors:
        statistics.update(x)
    return statistics


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def squared_error(x, qparams):
    return (qparams.dequantize(qparams.quantize(x)) - x).double().square().mean().item()


def test_registry_holds_exactly_the_tested_observers():
    assert set(NAMES) == set(OBSERVERS.module_dict)


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('symmetric', [True, False])
@quick
@given(values, st.sampled_from([2, 4, 8, 16]))
def test_any_data_gives_a_range_inside_the_data(name, symmetric, data, bits):
    statistics = seen(torch.tensor(data))
    low, high = build(name).range(statistics, bits, symmetric)
    assert low.shape == high.shape == (1,) and low.dtype == high.dtype == torch.float64
    least, most = min(*data, 0.0), max(*data, 0.0)
    if symmetric:
        most = max(-least, most)
        least = -most
        assert low == -high
    assert least <= low <= 0 <= high <= most
    assert (high > low) == (most > least)
    qparams = build(name).qparams(statistics, bits, symmetric)
    assert qparams.bits == bits


@pytest.mark.parametrize('name', NAMES)
@quick
@given(st.lists(values, min_size=1, max_size=4), st.sampled_from([2, 4, 8]))
def test_weight_rows_are_independent(name, rows, bits):
    width = max(map(len, rows))
    weight = torch.tensor([(row * width)[:width] for row in rows])
    observer = build(name)
    scales = observer.scales(weight, bits)
    assert scales.shape == (len(rows),) and scales.dtype == torch.float32
    assert (scales > 0).all()
    assert (
        scales
        <= weight.abs().amax(1).clamp(min=1e-12) / (2 ** (bits - 1) - 1) * 1.000001
    ).all()
    alone = torch.cat([observer.scales(row[None], bits) for row in weight])
    assert torch.equal(scales, alone)


@pytest.mark.parametrize('name', NAMES)
def test_convolutions_and_vectors_have_scales(name):
    observer = build(name)
    kernel = normal(5, 3, 4, 4)
    assert torch.equal(
        observer.scales(kernel, 8), observer.scales(kernel.flatten(1), 8)
    )
    assert observer.scales(normal(6), 8).shape == (6,)


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('symmetric', [True, False])
@pytest.mark.parametrize('value', [3.0, -0.25, 1.0, 0.0])
def test_constant_data(name, symmetric, value):
    x = torch.full((100,), value)
    qparams = build(name).qparams(seen(x), 8, symmetric)
    assert torch.allclose(qparams.dequantize(qparams.quantize(x)), x, rtol=1e-6)


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('sign', [1, -1])
def test_one_sided_data_use_all_codes(name, sign):
    x = sign * normal(20_000).abs()
    statistics = seen(x)
    low, high = build(name).range(statistics, 8, symmetric=False)
    assert (low if sign > 0 else high).item() == 0
    assert high - low > 1.5
    affine = build(name).qparams(statistics, 8, symmetric=False)
    symmetric = build(name).qparams(statistics, 8, symmetric=True)
    assert squared_error(x, affine) < squared_error(x, symmetric) / 2


@pytest.mark.parametrize('name', NAMES)
def test_a_mirror_image_has_the_mirrored_range(name):
    x = normal(100_000).abs()
    low, high = build(name).range(seen(x), 8, False)
    mirrored_low, mirrored_high = build(name).range(seen(-x), 8, False)
    # Bins hold their lower edge only, and the divergence is flat around its
    # least value: a bin more or less moves it.
    apart = 0.15 if name == 'histogram' else 0.01
    assert mirrored_low.item() == pytest.approx(-high.item(), rel=apart)
    assert low == mirrored_high == 0


@pytest.mark.parametrize('name', NAMES)
def test_scaling_by_a_power_of_two_scales_the_range(name):
    x = normal(5_000)
    low, high = build(name).range(seen(x), 8, False)
    scaled_low, scaled_high = build(name).range(seen(x * 2**7), 8, False)
    assert scaled_low == low * 2**7 and scaled_high == high * 2**7


@pytest.mark.parametrize('name', NAMES)
def test_errors(name):
    observer = build(name)
    with pytest.raises(ValueError, match='did calibration see any image'):
        observer.range(Statistics(), 8, True)
    with pytest.raises(ValueError, match='check the checkpoint'):
        observer.scales(torch.tensor([[1.0, float('nan')]]), 8)
    with pytest.raises(ValueError, match='2 rows'):
        observer.qparams(Samples.from_weight(normal(2, 8)), 8, True)


@pytest.mark.parametrize(
    'options',
    [
        dict(type='ema', momentum=1.0),
        dict(type='percentile', percentile=50),
        dict(type='percentile', percentile=101),
        dict(type='mse', steps=101),
        dict(type='mse', norm=0),
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
