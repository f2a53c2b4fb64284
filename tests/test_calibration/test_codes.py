"""A walk over the registry of codes, and what each of them promises."""

import itertools

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from observer_cases import quick, seen, values

import iptq_mm.calibration  # noqa: F401  (fills the registry)
from iptq_mm.calibration.codes import OptimalLevels, TwinRanges
from iptq_mm.calibration.codes.mass import Mass
from iptq_mm.intmath import QParams
from iptq_mm.registry import CODES

NAMES = sorted(CODES.module_dict)


def gelu_results(seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(20000, generator=generator)
    return torch.nn.functional.gelu(x - 0.9 + 0.02 * x.roll(1) ** 5)


def error(qparams, x):
    return float((qparams.dequantize(qparams.quantize(x)) - x).square().mean())


def test_the_registry_is_full():
    assert set(NAMES) == {'levels', 'twin_ranges'}


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('symmetric', [True, False])
@quick
@given(values, st.sampled_from([2, 3, 6]))
@example([1.0, -8.0], 6)  # fewer positive integers than a half has levels
def test_any_data_gives_so_many_levels(name, symmetric, data, bits):
    if min(data) == max(data) == 0:  # the planner takes care of these
        data = [1.0]
    made = CODES.build(dict(type=name)).qparams(
        seen(torch.tensor(data)), bits, symmetric
    )
    assert made.bits == 8 and 0 < made.code_bits <= bits
    assert (made.qmin == -made.qmax) == symmetric


@pytest.mark.parametrize(
    'name, bits',
    [('levels', 3), ('levels', 6), ('twin_ranges', 4), ('twin_ranges', 6)],
)
def test_results_of_gelu_have_less_error_than_on_any_uniform_grid(name, bits):
    x = gelu_results()
    made = CODES.build(dict(type=name)).qparams(seen(x), bits, False)
    uniform = [
        QParams.asymmetric(float(x.min()), float(x.max()) * 0.9**i, bits)
        for i in range(30)
    ]
    assert error(made, x) < 0.8 * min(error(u, x) for u in uniform)
    assert error(made, gelu_results(seed=1)) < 1.5 * error(made, x)


@pytest.mark.parametrize('count', [2, 3, 5, 8])
@pytest.mark.parametrize('qmin', [-7, -3, 0])
def test_no_levels_are_better_than_the_optimal_ones(count, qmin):
    x = torch.randn(500, generator=torch.Generator().manual_seed(count)) * 3
    mass = Mass(seen(x), QParams(1.0, qmin, qmin + 7))
    (found,) = OptimalLevels().choices(mass, count)
    every = [
        levels
        for levels in itertools.combinations(range(qmin, qmin + 8), count)
        if 0 in levels
    ]
    assert len(found) == count and found in every
    assert mass.error(found) == pytest.approx(min(map(mass.error, every)))


def test_values_are_clipped_where_that_saves_much_only():
    """A finer grid is not worth what is clipped; one massive value is."""
    x = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    x /= x.abs().max()
    whole = OptimalLevels().qparams(seen(x), 6, True)
    assert whole.scale * whole.qmax == pytest.approx(1.0, rel=1e-3)
    x[0] = 20.0
    clipped = OptimalLevels().qparams(seen(x), 6, True)
    assert clipped.scale * clipped.qmax < 15


def test_the_mass_is_that_of_the_values():
    x = torch.linspace(-1, 6, 30000)
    for levels in [None, (-3, 0, 1, 7, 40, 41, 60)]:
        grid = QParams(0.1, -10, 60, levels)
        found = Mass(seen(x), grid).error(levels or tuple(range(-10, 61)))
        assert found / len(x) == pytest.approx(error(grid, x), rel=0.01)


def test_twin_ranges_are_a_fine_and_a_coarse_grid():
    x = gelu_results()
    made = TwinRanges().qparams(seen(x), 4, False)
    steps = torch.tensor(made.levels).diff().tolist()
    fine, coarse = steps[:7], steps[8:]
    assert set(fine) == {1} and len(set(coarse)) == 1
    step = coarse[0]
    assert step > 1 and step & (step - 1) == 0
    assert all(level % step == 0 for level in made.levels[8:])
