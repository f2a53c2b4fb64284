import json
import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from iptq_mm.criteria import CandidateErrors


def added(x, q, images=1, x_in=None, q_in=None, cost=1.0):
    errors = CandidateErrors(cost=cost)
    x, q = torch.tensor(x), torch.tensor(q)
    x_in = x if x_in is None else torch.tensor(x_in)
    q_in = x_in if q_in is None else torch.tensor(q_in)
    errors.add_batch(x, q, x_in, q_in, images)
    return errors


def test_sums_by_hand():
    errors = added(
        [[3.0, 4.0], [0.0, 2.0]],
        [[3.0, 5.0], [1.0, 3.0]],
        images=2,
        x_in=[1.0, 2.0],
        q_in=[1.5, 2.0],
    )
    assert (errors.signal, errors.error) == (25.0 + 4.0, 1.0 + 2.0)
    assert (errors.elements, errors.images) == (4, 2)
    assert errors.ratio == 25 / 1 + 4 / 2
    assert (errors.input_signal, errors.input_error) == (5.0, 0.25)
    assert errors.input_ratio == pytest.approx(1 / 0.25 + 1e30)  # an exact image
    assert errors.sqnr_db == pytest.approx(10 * math.log10(29 / 3))
    assert errors.asqnr == pytest.approx(20 * math.log10(27 / 2))
    assert errors.input_sqnr_db == pytest.approx(10 * math.log10(20))
    assert errors.perturbation == 1.5 and errors.mean_perturbation == 0.75
    assert errors.total_cost == 2.0


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 4), st.integers(1, 9), st.integers(0, 1000))
def test_batches_and_merging_give_the_sums_of_all(images, elements, seed):
    generator = torch.Generator().manual_seed(seed)
    tensors = torch.randn(4, images, elements, generator=generator).unbind()
    together = CandidateErrors(cost=2.0)
    together.add_batch(*tensors, images)
    apart = CandidateErrors(cost=2.0)
    for i in range(images):
        one = CandidateErrors(cost=2.0)
        one.add_batch(*(t[i] for t in tensors), 1)
        apart.merge(one)
    for key, value in together.to_dict().items():
        assert value == pytest.approx(apart.to_dict()[key], rel=1e-12)


def test_costs_are_averaged_over_elements():
    a, b = added([1.0], [1.0], cost=3.0), added([1.0] * 3, [1.0] * 3, cost=7.0)
    a.merge(b)
    assert a.cost == 6.0
    a = CandidateErrors(cost=0.1)
    a.merge(CandidateErrors(cost=0.1))
    a.merge(added([1.0] * 3, [1.0] * 3, cost=0.1))
    assert a.cost == 0.1 and a.elements == 3


def test_windows_belong_to_their_images():
    x, q = torch.randn(6, 5, 7), torch.randn(6, 5, 7)  # 3 windows an image
    errors = CandidateErrors()
    errors.add_batch(x, q, x, q, 2)
    ratio = sum(
        a.double().square().sum() / (a.double() - b.double()).square().sum()
        for a, b in zip(x.split(3), q.split(3), strict=True)
    )
    assert errors.ratio == pytest.approx(ratio.item())


def test_degenerate_images_stay_finite():
    exact = added([1.0, 2.0], [1.0, 2.0])
    assert exact.sqnr_db == pytest.approx(300) and exact.asqnr == pytest.approx(600)
    silent = added([[0.0], [1.0]], [[0.0], [1.1]], images=2)
    assert silent.ratio == pytest.approx(1 / 0.01, rel=1e-4)
    noise = added([0.0, 0.0], [0.0, 1.0])
    assert noise.sqnr_db == pytest.approx(-300) and noise.ratio == 0
    assert json.loads(json.dumps(exact.to_dict(), allow_nan=False)) == exact.to_dict()


def test_gradients_by_hand():
    errors = CandidateErrors()
    error = torch.tensor([[1.0, -1.0], [2.0, 0.5]])
    gradients = [
        torch.tensor([[3.0, 2.0], [1.0, 2.0]]),
        torch.tensor([[1.0, 1.0], [0.0, 4.0]]),
    ]
    errors.add_gradients(error, gradients, images=2)
    # Of the images: 3 - 2 and 2 + 1, then 1 - 1 and 0 + 2.
    assert errors.output_error == 1 + 9 + 0 + 4
    assert errors.weighted_error == (9 + 4) + (4 + 1) + (1 + 1) + (0 + 4)
    assert errors.draws == 4
    assert errors.relative_output_error == 14 / 4
    assert errors.relative_weighted_error == 24 / 4
    sampled = CandidateErrors()
    sampled.add_gradients(error, gradients, images=2, elements=12)
    assert sampled.output_error == 9 * 14 and sampled.weighted_error == 3 * 24
    assert sampled.draws == 4


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 4), st.integers(1, 9), st.integers(1, 3), st.integers(0, 1000))
def test_gradients_merge(images, elements, draws, seed):
    generator = torch.Generator().manual_seed(seed)
    error = torch.randn(images, elements, generator=generator)
    gradients = torch.randn(draws, images, elements, generator=generator)
    together, apart = CandidateErrors(), CandidateErrors()
    together.add_gradients(error, list(gradients), images)
    for i in range(images):
        one = CandidateErrors()
        one.add_gradients(error[i], list(gradients[:, i]), 1)
        apart.merge(one)
    for key, value in together.to_dict().items():
        assert value == pytest.approx(apart.to_dict()[key], rel=1e-4, abs=1e-6)
    # Cauchy and Schwarz: errors add up to at most all of them in one direction.
    assert together.output_error <= elements * together.weighted_error * (1 + 1e-4)


def test_nan_is_kept():
    errors = added([0.0, 1.0], [math.nan, 1.0])
    assert math.isnan(errors.sqnr_db) and math.isnan(errors.asqnr)
    assert math.isnan(errors.perturbation)
    empty = CandidateErrors()
    assert math.isnan(empty.asqnr) and math.isnan(empty.perturbation)
    assert math.isnan(empty.mean_perturbation) and math.isnan(empty.total_cost)
    assert math.isnan(empty.relative_output_error)
    assert math.isnan(empty.relative_weighted_error)


def test_plain_round_trip():
    errors = added([1.0, 2.0], [1.5, 2.0], cost=9.0)
    data = json.loads(json.dumps(errors.to_dict()))
    assert CandidateErrors.from_dict(data) == errors


def test_records_without_times():
    errors = added([1.0, 2.0], [1.5, 2.0], cost=9.0)
    data = errors.to_dict()
    del data['nanoseconds']
    assert CandidateErrors.from_dict(data) == errors
    assert (
        math.isnan(errors.cost_in('nanoseconds'))
        and errors.cost_in('operations') == 9.0
    )


def test_times_are_averaged_over_elements():
    a, b = added([1.0], [1.0]), added([1.0] * 3, [1.0] * 3)
    a.nanoseconds, b.nanoseconds = 3.0, 7.0
    a.merge(b)
    assert a.nanoseconds == 6.0 and a.total_cost_in('nanoseconds') == 6.0 * 4 / 2


@pytest.mark.parametrize('change', [dict(draws=None), dict(novel=1.0)])
def test_figures_of_another_version(change):
    data = {**CandidateErrors().to_dict(), **change}
    data = {key: value for key, value in data.items() if value is not None}
    with pytest.raises(ValueError, match='another version'):
        CandidateErrors.from_dict(data)


def test_errors():
    errors = CandidateErrors(cost=1.0)
    x = torch.ones(4, 2)
    with pytest.raises(ValueError, match='cannot compare'):
        errors.add_batch(x, x[:2], x, x, 2)
    with pytest.raises(ValueError, match='3 images'):
        errors.add_batch(x, x, x, x, 3)
    assert errors == CandidateErrors(cost=1.0)
