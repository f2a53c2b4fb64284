"""A walk over the registry: what every observer has to do, new ones included."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given
from observer_cases import build, normal, quick, seen, squared_error, values

import iptq_mm.calibration.observers  # noqa: F401  (fills the registry)
from iptq_mm.calibration.observers import Samples
from iptq_mm.registry import OBSERVERS
from iptq_mm.statistics import Statistics

NAMES = sorted(OBSERVERS.module_dict)


def test_the_registry_is_full():
    assert {'minmax', 'ema', 'percentile', 'mse', 'histogram'} <= set(NAMES)


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
