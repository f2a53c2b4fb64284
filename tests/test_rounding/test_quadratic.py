"""The quadratic error, and steps that make it smaller."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rounding_cases import layer, output_error

from iptq_mm.rounding import Rounded, descent
from iptq_mm.rounding.descent import in_order
from iptq_mm.rounding.quadratic import Quadratic

seeds = st.integers(0, 1000)


def problem_of(case, bits=4, centred=False):
    hessian = case.inputs.covariance if centred else case.inputs.second_moment
    return Quadratic(case.weight.double(), hessian, 2 ** (bits - 1) - 1)


@settings(deadline=None, max_examples=30)
@given(seeds, st.booleans())
def test_error_is_that_of_the_outputs(seed, centred):
    case = layer(seed)
    problem = problem_of(case, centred=centred)
    solution = problem.nearest(case.scale.double())
    expected = output_error(case, solution, centred)
    assert torch.allclose(problem.error(solution), expected, rtol=1e-8)


@settings(deadline=None, max_examples=30)
@given(seeds, st.integers(2, 8))
def test_descent_goes_down_to_where_no_single_code_helps(seed, bits):
    case = layer(seed, bits=bits, dead=(3,))
    problem = problem_of(case, bits)
    solution = problem.nearest(case.scale.double())
    errors = [problem.error(solution)]
    for _ in range(40):
        solution = problem.descend(solution)
        errors.append(problem.error(solution))
        assert (errors[-1] <= errors[-2] * (1 + 1e-9)).all()
    assert torch.equal(solution.codes, problem.descend(solution).codes)
    for column, move in product(range(12), (-1, 1)):
        codes = solution.codes.clone()
        codes[:, column] += move
        allowed = codes[:, column].abs() <= problem.qmax
        error = problem.error(Rounded(codes, solution.scale))
        assert (error >= errors[-1] * (1 - 1e-9))[allowed].all()


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_best_values_are_where_the_error_has_no_slope(seed):
    case = layer(seed, dead=(3,))
    problem = problem_of(case)
    solution = problem.nearest(case.scale.double())
    best = problem.best_values(solution)
    assert torch.equal(best[:, 3], (problem.weight / solution.scale[:, None])[:, 3])
    for column in range(12):
        codes = solution.codes.clone()
        codes[:, column] = best[:, column]
        at = [codes.clone() for _ in range(3)]
        at[0][:, column] -= 0.1
        at[2][:, column] += 0.1
        low, middle, high = (problem.error(Rounded(c, solution.scale)) for c in at)
        assert torch.allclose(low, high, rtol=1e-6) and (middle <= low).all()


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_rescaling_finds_the_best_scale(seed):
    case = layer(seed)
    case.weight[0] = 0
    problem = problem_of(case)
    solution = problem.nearest(case.scale.double())
    rescaled = problem.rescale(solution)
    assert rescaled.scale[0] == case.scale[0]  # of no code at all
    error = problem.error(rescaled)
    for factor in (0.5, 0.9, 0.999, 1.001, 1.1, 2.0):
        other = problem.error(Rounded(rescaled.codes, rescaled.scale * factor))
        assert (error <= other).all()
    assert (error <= problem.error(solution) * (1 + 1e-12)).all()


@settings(deadline=None, max_examples=20)
@given(seeds)
def test_better_by_row(seed):
    case = layer(seed)
    problem = problem_of(case)
    one = problem.nearest(case.scale.double())
    other = problem.nearest(case.scale.double() * 0.8)
    chosen = problem.error(problem.better(one, other))
    assert torch.equal(chosen, torch.minimum(problem.error(one), problem.error(other)))


@settings(deadline=None, max_examples=10)
@given(seeds)
def test_improvement_stops_between_nearest_and_the_optimum(seed):
    case = layer(seed, rows=3, features=4, bits=2)
    problem = problem_of(case, 2)
    start = problem.nearest(case.scale.double())
    improved = problem.improve(start, 10)
    assert torch.equal(problem.improve(improved, 1).codes, improved.codes)
    every = [
        problem.rescale(
            Rounded(torch.tensor(c, dtype=torch.float64).expand(3, -1), start.scale)
        )
        for c in product((-1.0, 0.0, 1.0), repeat=4)
    ]
    optimum = torch.stack([problem.error(s) for s in every]).amin(0)
    error = problem.error(improved)
    assert (optimum <= error * (1 + 1e-9)).all()
    assert (error <= problem.error(start)).all()


@pytest.mark.parametrize('block', [1, 4, 7, 64])
def test_blocks_do_not_matter(block, monkeypatch):
    generator = torch.Generator().manual_seed(block)
    start = torch.randn(15, 3, dtype=torch.float64, generator=generator)
    matrix = torch.randn(15, 15, dtype=torch.float64, generator=generator)
    expected, columns = start.clone(), []
    for j in range(15):
        columns.append(expected[j].clone())
        for k in range(j + 1, 15):
            expected[k] -= matrix[j, k] * columns[j].sin() * j
    monkeypatch.setattr(descent, '_LEAF', block)
    seen = []

    def decide(j, column, move):
        seen.append(column.clone())
        torch.mul(column.sin(), j, out=move)

    moves = in_order(start, matrix, decide)
    assert torch.equal(start, torch.stack(seen))
    assert torch.equal(moves[3], seen[3].sin() * 3)
    assert torch.allclose(torch.stack(seen), torch.stack(columns), rtol=1e-10)
