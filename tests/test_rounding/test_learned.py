"""AdaRound on the exact quadratic error."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rounding_cases import layer, output_error

from iptq_mm.rounding import LearnedRounding, SecondOrderRounding
from iptq_mm.rounding.learned import rectified_sigmoid, regularizer_slope


def both(case, bits=4, centred=False, start=None, **options):
    """Errors of where it starts and where it ends."""
    start = start or {}
    arguments = case.weight, case.scale, bits, case.inputs, centred
    before = SecondOrderRounding(**start)(*arguments)
    after = LearnedRounding(**start, **options)(*arguments)
    return (output_error(case, r, centred) for r in (before, after))


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1000), st.integers(2, 8), st.booleans(), st.booleans())
def test_no_row_is_worse_than_its_start(seed, bits, centred, compensated):
    case = layer(seed, bits=bits, dead=(2,))
    before, after = both(case, bits, centred, steps=20, compensated=compensated)
    assert (after <= before * (1 + 1e-9) + 1e-12).all()


@pytest.mark.parametrize('compensated', [True, False])
def test_it_learns(compensated):
    case = layer(rows=40, features=96, samples=1000)
    before, after = both(case, compensated=compensated)
    assert after.sum() < 0.98 * before.sum()


def test_from_nearest_neighbours_alone_it_gains_much():
    # Without compensation, search or descent: what is left is what was learned.
    case = layer(rows=20, features=48, samples=1000)
    start = dict(damping=1e6, search=0, sweeps=0)  # so much damping: nearest
    before, after = both(case, start=start, compensated=False)
    assert after.sum() < 0.5 * before.sum()


def test_rectified_sigmoid():
    v = torch.linspace(-4, 4, 81, dtype=torch.float64, requires_grad=True)
    h, slope = rectified_sigmoid(v)
    (expected,) = torch.autograd.grad(h.sum(), v)
    assert torch.allclose(slope, expected)
    assert h.min() == 0 and h.max() == 1 and (h.diff() >= 0).all()


@pytest.mark.parametrize('beta', [2.0, 7.5, 20.0])
def test_regularizer(beta):
    h = torch.linspace(0, 1, 101, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad((1 - (2 * h - 1).abs() ** beta).sum(), h)
    assert torch.allclose(regularizer_slope(h, beta), expected)


@pytest.mark.parametrize('name', ['steps', 'rate', 'regularization'])
def test_options(name):
    with pytest.raises(ValueError, match=f'{name}=0'):
        LearnedRounding(**{name: 0})
    with pytest.raises(ValueError, match='damping'):
        LearnedRounding(damping=0.0)
    with pytest.raises(TypeError, match='sweps'):
        LearnedRounding(sweps=1)
