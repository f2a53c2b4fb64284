"""The pair (a, b) of Poly-GELU from samples."""

import math

import pytest
import torch
from function_cases import Case, build, sqnr, typical

from iptq_mm.functions import FunctionSite
from iptq_mm.functions.gelu.poly_gelu import PUBLISHED, fit_pair
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


def test_unknown_objective():
    with pytest.raises(ValueError, match='objective'):
        build('poly_gelu', objective='tanh')
