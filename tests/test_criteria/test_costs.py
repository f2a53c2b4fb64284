"""Weights of the unified metric's terms, and costs in operations and nanoseconds."""

import hypothesis.strategies as st
import pytest
from criteria_cases import build, chosen, errors, n
from hypothesis import given, settings


def test_weights_of_the_unified_metric_by_hand():
    e = errors(db=20, error=3.0, elements=300, images=2, cost=9.0)
    q, p, c = 1 / n(20), n(1.5), n(9)
    score = build('unified_metric', weights=dict(q=2, p=0.5, c=3)).score(e)
    assert score == pytest.approx(5.5 / (2 * q + 0.5 * p + 3 * c))
    score = build('unified_metric', weights=dict(c=0)).score(e)
    assert score == pytest.approx(2 / (q + p))
    # The defaults are those of before, to the bit.
    for weights in ({}, dict(q=1, p=1, c=1), dict(c=1.0)):
        metric = build('unified_metric', weights=weights)
        assert metric.score(e) == build('unified_metric').score(e)


def test_weights_move_the_choice():
    def choice(**weights):
        return chosen(build('unified_metric', weights=weights))

    assert choice() == ['middle', 'cheap', 'best']
    assert choice(p=100) == ['best'] * 3
    assert choice(c=100) == ['cheap', 'cheap', 'best']  # the veto is left
    assert choice(q=0) == ['middle', 'cheap', 'cheap']


@settings(deadline=None)
@given(st.floats(1e-3, 1e3), st.floats(-30, 60), st.floats(0, 1e3), st.floats(0, 50))
def test_only_ratios_of_weights_count(factor, db, error, cost):
    e = errors(db=db, error=error, cost=cost)
    some = build('unified_metric', weights=dict(q=1, p=2, c=3))
    others = dict(q=factor, p=2 * factor, c=3 * factor)
    assert build('unified_metric', weights=others).score(e) == pytest.approx(
        some.score(e), rel=1e-9
    )


@pytest.mark.parametrize('name', ['cost', 'unified_metric', 'output_error'])
def test_costs_in_nanoseconds(name):
    """In operations the first is the cheaper one, in nanoseconds the second."""
    candidates = dict(a=errors(cost=5.0), b=errors(cost=9.0))
    candidates['a'].nanoseconds, candidates['b'].nanoseconds = 2.0, 0.5
    assert build(name).choose('gelu', candidates) == 'a'
    assert build(name, cost='nanoseconds').choose('gelu', candidates) == 'b'
    assert build(name).cost_unit == 'operations'


def test_nanoseconds_in_the_unified_metric():
    e = errors(db=20, error=3.0, elements=300, images=2, cost=9.0)
    e.nanoseconds = 0.25
    q = 1 / n(20)
    score = build('unified_metric', cost='nanoseconds').score(e)
    assert score == pytest.approx(3 / (q + n(1.5) + n(0.25)))
    score = build('unified_metric', cost='nanoseconds', c_unit='total').score(e)
    assert score == pytest.approx(3 / (q + n(1.5) + n(0.25 * 150)))


def test_times_that_were_not_measured():
    with pytest.raises(ValueError, match='and measure times'):
        build('cost', cost='nanoseconds').choose('gelu', dict(a=errors()))
