"""The pair (a, b) of Poly-GELU from samples."""

import math

import pytest
import torch
from function_cases import Case, build, sqnr, typical

from iptq_mm.functions import FunctionSite
from iptq_mm.functions.gelu.poly_gelu import PUBLISHED, PolyGELU, fit_pair
from iptq_mm.intmath import QParams


def test_fit_finds_the_published_pair_on_a_coarse_grid():
    """24 points of u on [-3, 3] give the published pair within 0.1 %."""
    pair = fit_pair(torch.linspace(-3, 3, 24, dtype=torch.float64) * math.sqrt(2))
    assert pair == pytest.approx(PUBLISHED, rel=1e-3)


def test_fit_objectives():
    x = torch.linspace(-3, 3, 60001, dtype=torch.float64) * math.sqrt(2)
    assert fit_pair(x) == pytest.approx((-0.01912, -2.7193), rel=1e-3)
    expected = (-0.02475, -2.590626)
    assert fit_pair(x, objective='gelu') == pytest.approx(expected, rel=1e-3)


def test_fit_uses_weights():
    x = torch.linspace(-4, 4, 401)
    twice = torch.cat([x, x[x > 1]])
    weights = 1 + (x > 1).double()
    assert fit_pair(x, weights) == pytest.approx(fit_pair(twice), rel=1e-6)


@pytest.mark.parametrize('objective', ['erf', 'gelu'])
@pytest.mark.parametrize(
    'samples', [[0.0] * 5, [100.0] * 5, [-1e-9, 1e-9], [1.0], [0.3, 60.0]]
)
def test_fit_survives_useless_samples(samples, objective):
    function = build('poly_gelu', objective=objective)
    case = Case(function, QParams.symmetric(4.0, 8), typical('gelu', 8, 4.0), 8)
    site = FunctionSite(case.x, case.out_params, samples=torch.tensor(samples))
    out = function.integer(case.q, function.prepare(site)) * case.step
    assert sqnr(case.reference, out) > 20


def test_fitting_the_gelu_beats_the_published_pair():
    real = typical('gelu', 16, 4.0)
    x = QParams.symmetric(4.0, 16)
    fitted = build('poly_gelu', objective='gelu')
    case = Case(build('poly_gelu', fit=False), x, real)
    site = FunctionSite(case.x, case.out_params, samples=case.real.flatten())
    out = fitted.integer(case.q, fitted.prepare(site)) * case.step
    published = sqnr(case.reference, case.actual)
    assert sqnr(case.reference, out) > published + 5


def pair(samples, weights=None, **options):
    x = QParams.symmetric(8.0, 16)
    samples = torch.as_tensor(samples, dtype=torch.float64)
    return PolyGELU(**options).pair(FunctionSite(x, x, samples, weights))


@pytest.mark.parametrize('points, reach', [(24, 3.0), (32, 4.0)])
def test_coarse_points_of_the_range_give_the_published_pair(points, reach):
    """Whatever lies between the ends; the published pair has no exact source."""
    ends = [-reach * math.sqrt(2), 0.1, 0.1, 0.2, reach * math.sqrt(2)]
    found = pair(ends, fit='range', points=points)
    assert found == pytest.approx(PUBLISHED, rel=1e-3)


@pytest.mark.parametrize('objective', ['erf', 'gelu'])
def test_fit_to_the_range_knows_the_ends_only(objective):
    options = dict(fit='range', objective=objective)
    low, high = -4.2, 3.7
    spread = torch.linspace(low, high, 1000, dtype=torch.float64)
    even = pair(spread, objective=objective)
    assert pair([low, 0.1, high], **options) == even
    assert pair([low, *[0.1] * 50, high], **options) == even
    dense = torch.cat([spread, torch.linspace(-0.5, 0.5, 2000, dtype=torch.float64)])
    assert pair(dense, objective=objective) != even


def test_the_range_is_that_of_samples_with_a_weight():
    weights = torch.tensor([0.0, 1.0, 2.0, 0.0])
    found = pair([-50.0, -3.0, 4.0, 60.0], weights, fit='range')
    assert found == pair([-3.0, 4.0], fit='range')


@pytest.mark.parametrize('samples', [[], [0.0], [1.0, 1.0], [1000.0, 4000.0]])
def test_a_range_that_determines_no_pair(samples):
    assert pair(samples, fit='range') == PUBLISHED


def test_true_and_false_mean_what_they_did():
    x = torch.linspace(-3, 2, 301, dtype=torch.float64)
    assert pair(x, fit=True) == pair(x) == pair(x, fit='density') == fit_pair(x)
    assert pair(x, fit=False) == PUBLISHED


@pytest.mark.parametrize(
    'options, said',
    [
        (dict(objective='tanh'), "objective is one of .*'gelu'.*not 'tanh'"),
        (dict(fit='ranges'), "fit is one of .*'range'.*not 'ranges'"),
        (dict(fit=1.5), 'fit is one of'),
        (dict(points=24), "fit='range'"),
        (dict(fit='range', points=3), '16 or more, not 3'),
        (dict(fit='range', points=24.0), 'an integer'),
    ],
)
def test_options_that_there_are_not(options, said):
    with pytest.raises(ValueError, match=said):
        build('poly_gelu', **options)
