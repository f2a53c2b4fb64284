"""GPTQ with a search of the scale and coordinate descent."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rounding_cases import layer, output_error

from iptq_mm.moments import Moments
from iptq_mm.rounding import NearestRounding, SecondOrderRounding, second_order
from iptq_mm.rounding.second_order import factor_of

seeds = st.integers(0, 1000)


def second(case, bits=4, centred=False, **options):
    method = SecondOrderRounding(**options)
    return method(case.weight, case.scale, bits, case.inputs, centred)


def nearest(case, bits=4):
    return NearestRounding()(case.weight, case.scale, bits)


def optimal_brain_quantization(case, bits, damping, activation_order):
    """The textbook's way: each decided column is eliminated from the inverse."""
    w, scale = case.weight.double().clone(), case.scale.double()
    h = case.inputs.second_moment
    inverse = (
        h + damping * h.diagonal().mean() * torch.eye(len(h), dtype=h.dtype)
    ).inverse()
    codes, qmax = torch.zeros_like(w), 2 ** (bits - 1) - 1
    order = range(len(h))
    if activation_order:
        order = sorted(order, key=lambda j: -h[j, j].item())
    for j in order:
        codes[:, j] = (w[:, j] / scale).round().clamp(-qmax, qmax)
        error = (w[:, j] - codes[:, j] * scale) / inverse[j, j]
        w -= torch.outer(error, inverse[j])
        inverse = inverse - torch.outer(inverse[j], inverse[j]) / inverse[j, j]
    return codes.to(torch.int8)


@settings(deadline=None, max_examples=30)
@given(seeds, st.integers(2, 8), st.sampled_from([0.01, 0.3]), st.booleans())
def test_alone_it_is_optimal_brain_quantization(seed, bits, damping, by_activation):
    case = layer(seed, bits=bits, dead=(4,))
    result = SecondOrderRounding(damping, by_activation, search=0, sweeps=0).solve(
        second_order.Quadratic(
            case.weight.double(), case.inputs.second_moment, 2 ** (bits - 1) - 1
        ),
        case.scale.double(),
    )
    expected = optimal_brain_quantization(case, bits, damping, by_activation)
    assert torch.equal(result.codes.to(torch.int8), expected)


def test_inputs_without_correlation_have_nothing_to_compensate():
    case = layer()
    inputs = Moments(12, 1.0)
    inputs.update(torch.diag(torch.arange(1, 13)))
    case = case._replace(inputs=inputs)
    result = second(case, search=0, sweeps=0)
    assert torch.equal(result.codes, nearest(case).codes)


def test_correlated_inputs_gain_much():
    case = layer(rows=40, features=64, samples=1000)
    gained = [output_error(case, nearest(case)).sum()]
    for options in (dict(search=0, sweeps=0), dict(search=0), dict()):
        gained.append(output_error(case, second(case, **options)).sum())
    assert gained[1] < 0.5 * gained[0]
    assert gained[2] < 0.95 * gained[1] and gained[3] < 0.95 * gained[2]


@settings(deadline=None, max_examples=20)
@given(seeds, st.integers(2, 8))
def test_no_row_loses_by_search_or_sweeps(seed, bits):
    case = layer(seed, bits=bits)
    options = dict(search=0, sweeps=0), dict(sweeps=0), dict()
    errors = [output_error(case, second(case, bits, **o)) for o in options]
    assert (errors[1] <= errors[0] * (1 + 1e-9)).all()
    assert (errors[2] <= errors[1] * (1 + 1e-9)).all()


@settings(deadline=None, max_examples=20)
@given(seeds, st.integers(-20, 60))
def test_what_the_bias_takes_does_not_count(seed, shift):
    case, moved = layer(seed, shift=0, samples=99), layer(seed, shift=shift, samples=99)
    # The same inputs but for a constant, as long as nothing saturates.
    moved = moved._replace(inputs=Moments(12, 0.05))
    moved.inputs.update(((case.x / 0.05).round() + shift).to(torch.int16))
    a, b = second(case, centred=True), second(moved, centred=True)
    assert torch.equal(a.codes, b.codes)
    assert torch.allclose(a.scale, b.scale, rtol=1e-6)


def test_a_poor_scale_is_mended():
    case = layer(rows=30)
    poor = case._replace(scale=case.scale * 1.6)
    error = output_error(poor, second(poor)).sum()
    assert error < 0.5 * output_error(poor, second(poor, search=0, sweeps=0)).sum()
    assert error < 1.3 * output_error(case, second(case)).sum()


def test_inputs_that_are_never_there_take_the_nearest_integer():
    case = layer(features=12, dead=(0, 7, 11))
    result = second(case, search=0, sweeps=0)
    for column in (0, 7, 11):
        assert torch.equal(result.codes[:, column], nearest(case).codes[:, column])


@pytest.mark.parametrize('rows', [1, 40, 100])
def test_rows_are_independent(rows, monkeypatch):
    case = layer(rows=11, features=70)
    whole = second(case)
    monkeypatch.setattr(second_order, '_WEIGHTS', rows * 70)
    parts = second(case)
    assert torch.equal(whole.codes, parts.codes)
    assert torch.equal(whole.scale, parts.scale)


def test_the_factor_is_that_of_the_damped_matrix():
    hessian = layer().inputs.second_moment
    damped = hessian + 0.1 * hessian.diagonal().mean() * torch.eye(12).double()
    upper, cost, damping = factor_of(hessian, 0.1)
    assert torch.equal(upper, upper.triu()) and (upper.diagonal() == 1).all()
    assert damping == pytest.approx(float(damped[0, 0] - hessian[0, 0]))
    assert torch.allclose(upper @ torch.diag(cost) @ upper.t(), damped, rtol=1e-10)
    # GPTQ's factor is that of the inverse.
    inverse = upper.inverse()
    assert torch.allclose(
        inverse.t() @ torch.diag(1 / cost) @ inverse, damped.inverse(), rtol=1e-8
    )


@settings(deadline=None, max_examples=20)
@given(seeds, st.sampled_from([0, 4]))
def test_errors_of_all_scales_are_known_without_a_product(seed, group):
    case = layer(seed, dead=(4,))
    problem = second_order.Quadratic(case.weight.double(), case.inputs.covariance, 7)
    if group:
        factors = torch.randint(1, 17, (5, 3)).double().repeat_interleave(group, 1)
        problem = replace(problem, factors=factors)
    order = torch.randperm(12)
    factor = factor_of(problem.hessian[order][:, order], 0.01)
    scales = torch.outer(torch.tensor([1.0, 0.7, 0.1]), case.scale).double()
    codes, errors = second_order.compensate(problem, scales, factor, order)
    for i, scale in enumerate(scales):
        rounded = second_order.Rounded(codes[order.argsort(), i].t(), scale)
        assert torch.allclose(problem.error(rounded), errors[i], rtol=1e-6, atol=1e-9)


def test_a_matrix_that_cannot_be_inverted():
    inputs = Moments(3, 1.0)
    inputs.update(torch.ones(5, 3, dtype=torch.int8))
    method = SecondOrderRounding(damping=1e-18)
    with pytest.raises(ValueError, match='try a larger one'):
        method(torch.ones(2, 3), torch.ones(2), 4, inputs)


@pytest.mark.parametrize(
    ('options', 'match'),
    [
        (dict(damping=0.0), 'damping is positive'),
        (dict(search=-1), 'search=-1'),
        (dict(sweeps=-1), 'sweeps=-1'),
    ],
)
def test_options(options, match):
    with pytest.raises(ValueError, match=match):
        SecondOrderRounding(**options)
