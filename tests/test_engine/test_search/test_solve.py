"""The 0/1 program against all combinations."""

import time

import pytest
from search_cases import brute_force, units

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.search.choices import total, uniform
from iptq_mm.engine.search.solve import solve

SIX = units(6)


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('share', [0.05, 0.4, 0.8])
def test_the_optimum_is_that_of_brute_force(seed, share):
    given = units(5, seed=seed)
    costs = {
        name: [
            sum(f(c.cost(name) for c in u.choices) for u in given) for f in (min, max)
        ]
        for name in ('loss', 'bytes', 'ms')
    }
    budget = {n: low + share * (high - low) for n, (low, high) in costs.items()}
    for names, objective in (
        (['bytes'], 'loss'),
        (['ms'], 'loss'),
        (['bytes', 'ms'], 'loss'),
        (['loss'], 'bytes'),
        (['loss', 'bytes'], 'ms'),
    ):
        budgets = {n: budget[n] for n in names}
        best = brute_force(given, budgets, objective)
        if best is None:
            with pytest.raises(ConfigError, match='no choice of bits keeps'):
                solve(given, budgets)
            continue
        chosen = solve(given, budgets)
        assert total(chosen, objective) == pytest.approx(best, rel=1e-5)
        assert all(total(chosen, n) <= b for n, b in budgets.items())


def test_the_bytes_of_a_uniform_model_are_kept_to_the_byte():
    same = uniform(SIX, 4, 8)
    budget = total(same, 'bytes')
    chosen = solve(SIX, {'bytes': budget})
    assert total(chosen, 'bytes') <= budget
    assert total(chosen, 'loss') <= total(same, 'loss')


def test_budgets_that_nothing_keeps():
    with pytest.raises(ConfigError, match='the least is'):
        solve(SIX, {'bytes': 10.0})
    with pytest.raises(ConfigError, match='no budget on'):
        solve(SIX, {'seconds': 10.0})
    with pytest.raises(ConfigError, match='W5A8 is no choice'):
        uniform(SIX, 5, 8)


def test_as_many_sites_as_a_vit_b_has_take_seconds():
    """50 layers and 24 matrix products, 25 choices each."""
    widths = (3, 4, 5, 6, 8)
    given = units(74, widths, widths, seed=7)
    low, high = (
        sum(f(c.bytes for c in unit.choices) for unit in given) for f in (min, max)
    )
    ms = sum(max(c.ms for c in unit.choices) for unit in given)
    began = time.process_time()
    chosen = solve(given, {'bytes': (low + high) / 2, 'ms': 0.95 * ms})
    assert time.process_time() - began < 10
    assert len(chosen) == 74
