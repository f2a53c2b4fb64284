"""Figures of a study, by hand, and what is kept of it."""

import csv
import io
import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from iptq_mm.criteria import CandidateErrors
from iptq_mm.engine.study import (
    Measurement,
    Measurements,
    figures,
    fractional_ranks,
    spearman,
)
from iptq_mm.engine.study.figures import (
    correlation,
    least_degrading,
    picks,
    picks_of,
    predictive,
    repeatability,
)
from iptq_mm.engine.study.report import Assigned, candidates_csv, decibels, tables
from iptq_mm.engine.study.site_candidates import (
    SiteCandidate,
    assignment_of,
    by_site,
    sets_of,
)
from iptq_mm.engine.study.variants import rules, variants
from iptq_mm.registry import CRITERIA

numbers = st.lists(st.integers(-5, 5), min_size=2, max_size=20)


def test_ranks_share_ties():
    assert fractional_ranks([3.0, 1.0, 3.0, 2.0, 3.0]).tolist() == [4, 1, 4, 2, 4]
    assert fractional_ranks([7.0]).tolist() == [1]


def test_spearman_by_hand():
    assert spearman([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(0.8)
    assert spearman([1, 2, 3], [30, 20, 10]) == pytest.approx(-1)
    # Ranks 1, 2.5, 2.5, 4 beside 1, 2, 3, 4: 4.5 / sqrt(4.5 * 5).
    assert spearman([0, 1, 1, 2], [5, 6, 7, 8]) == pytest.approx(math.sqrt(0.9))
    assert spearman([1, math.nan, 2, 3], [1, 0, 2, 3]) == pytest.approx(1)
    for a, b in (([1], [1]), ([1, 1], [1, 2]), ([1, math.nan], [1, 2])):
        assert math.isnan(spearman(a, b))
    with pytest.raises(ValueError, match='cannot be paired'):
        spearman([1, 2], [1])


@settings(deadline=None)
@given(numbers, st.integers(0, 99))
def test_spearman_looks_at_the_order_only(a, seed):
    b = np.random.default_rng(seed).random(len(a))
    value = spearman(a, b)
    if len(set(a)) == 1:
        assert math.isnan(value)
        return
    assert -1 - 1e-12 <= value <= 1 + 1e-12
    assert value == pytest.approx(spearman(b, a))
    assert value == pytest.approx(spearman([math.exp(x) for x in a], b))
    assert value == pytest.approx(-spearman([-x for x in a], b))
    assert spearman(a, a) == pytest.approx(1)


def test_measurements_go_on(tmp_path):
    path, key = tmp_path / 'effects.jsonl', dict(weights='a')
    kept = Measurements(path, key)
    kept.add('x', (0, 5), Measurement([1.0, 2.0], [1, 0]))
    kept.add('x', (7,), Measurement([3.0], [1]))
    whole = path.read_text()
    path.write_text(whole[:-9])  # interrupted while it wrote
    again = Measurements(path, key)
    assert again.resumed == 1 and ('x', (0, 5)) in again and ('x', (7,)) not in again
    again.add('x', (7,), Measurement([3.0], [1]))
    assert path.read_text() == whole
    assert again.over('x', [(0, 5), (7,)]) == Measurement([1.0, 2.0, 3.0], [1, 0, 1])
    with pytest.raises(KeyError):
        again.over('x', [(0,)])
    assert Measurements(path, dict(weights='b')).resumed == 0
    assert len(path.read_text().splitlines()) == 1


def candidate(site, kind, candidate, degradation, **errors):
    known = CandidateErrors(images=1, elements=1, draws=1, **errors)
    made = SiteCandidate('backbone', site, kind, candidate, known)
    made.degradation = dict(
        integer=np.array(degradation), float=np.array(degradation) / 2
    )
    made.agreement = dict(integer=1.0, float=0.5)
    return made


def some_candidates():
    """Output errors are in the order of the degradation, SQNR is not."""
    gelu = [
        candidate(
            '0', 'gelu', 'a', [1.0, 1.0], signal=10, error=2.0, output_error=1, cost=3
        ),
        candidate(
            '0', 'gelu', 'b', [2.0, 2.0], signal=10, error=1.0, output_error=4, cost=2
        ),
        candidate(
            '0', 'gelu', 'c', [3.0, 3.0], signal=10, error=3.0, output_error=9, cost=1
        ),
    ]
    softmax = [
        candidate(
            '1', 'softmax', 'd', [0.4, 0.4], signal=10, error=1.5, output_error=0.5
        ),
        candidate(
            '1', 'softmax', 'e', [9.0, 9.0], signal=10, error=2.5, output_error=99
        ),
    ]
    return gelu + softmax


def test_correlations_by_hand():
    found = predictive(
        some_candidates(), rules()['output_error, systematic'], 'integer'
    )
    assert found.value.overall == found.value.within == pytest.approx(1)
    assert found.error.overall == 0  # every image says the same
    assert math.isnan(found.value.kinds['layer_norm'])
    value = predictive(some_candidates(), rules()['sqnr'], 'float').value
    # Ranks of the degradation 2 3 4 1 5, of the errors 3 1 5 2 4: squares sum up to 8.
    assert value.overall == pytest.approx(1 - 6 * 8 / (5 * 24))
    assert value.kinds['gelu'] == pytest.approx(0.5)
    assert value.within == pytest.approx((0.5 + 1) / 2)


def test_standard_errors_and_repeatability():
    candidates = some_candidates()
    generator = np.random.default_rng(0)
    for p in candidates:
        p.degradation['integer'] = generator.random(40) ** 4
    found = predictive(candidates, rules()['sqnr'], 'integer')
    assert 0 < found.error.overall < 1 and 0 < found.error.within < 1
    assert abs(repeatability(candidates, 'integer').overall) < 1
    for i, p in enumerate(candidates):
        p.degradation['integer'] = np.full(4, i)
    assert repeatability(candidates, 'integer').overall == pytest.approx(1)
    flat = correlation(candidates, np.ones(5), np.arange(5))
    assert math.isnan(flat.overall) and math.isnan(flat.within)


def test_picks_by_hand():
    found = picks_of(some_candidates(), rules()['sqnr'], 'integer')
    # It takes b, of twice the least degradation, and d.
    assert found.best == found.near == 0.5
    assert found.loss_db == pytest.approx(10 * math.log10(2) / 2)
    found = picks(some_candidates(), least_degrading('float'), 'integer')
    assert found == (1.0, 1.0, 0.0)
    nearly = some_candidates()
    nearly[1].degradation['integer'] = np.array([1.01, 1.01])
    found = picks_of(nearly, rules()['sqnr'], 'integer')
    assert (found.best, found.near) == (0.5, 1.0)


def test_readings_are_all_criteria_that_score():
    names = {name.partition(',')[0] for name in variants()}
    assert names == set(CRITERIA.module_dict) - {'fixed'}


def test_whole_models_have_errors_of_their_own():
    """At the site a is better, in whole models b."""
    a, b = (
        candidate('0', 'gelu', n, [1.0], signal=s, error=1.0, cost=1)
        for n, s in (('a', 100), ('b', 10))
    )
    assert rules()['sqnr'].pick([a, b]) is a
    a.whole, b.whole = b.errors, a.errors
    assert rules()['sqnr, whole model'].pick([a, b]) is b
    assert rules()['sqnr, whole model'].score(b) == rules()['sqnr'].score(a)
    assert {n for n in rules() if n.endswith('whole model')} == {
        f'{name}, whole model'
        for name in ('sqnr', *(n for n in variants() if n.startswith('sqnr_diff')))
    }


def test_mean_perturbation_divides_by_elements():
    errors = CandidateErrors(error=6.0, elements=12, images=2)
    assert variants()['perturbation'].score(errors) == -3
    assert variants()['perturbation, mean'].score(errors) == -0.5


def test_assignment_of_picks():
    sites = by_site(some_candidates())
    assert [len(site) for site in sites] == [3, 2]
    chosen = [rules()['cost'].pick(site) for site in sites]
    assert assignment_of(chosen) == {'backbone': {'0': 'c', '1': 'd'}}


def test_sets():
    gelu = [
        candidate('0', 'gelu', n, [1.0]) for n in ('a', 'table_gelu', 'a(literal=True)')
    ]
    norm = [candidate('1', 'layer_norm', n, [1.0]) for n in ('b', 'b(literal=True)')]
    sets = {t: [p.function for p in part] for t, part in sets_of(gelu + norm).items()}
    assert list(sets.values()) == [
        ['a', 'table_gelu', 'a(literal=True)', 'b', 'b(literal=True)'],
        ['a', 'table_gelu', 'b'],
        ['a', 'b'],
        ['a(literal=True)', 'b(literal=True)'],
    ]
    # No site without a candidate, nothing twice.
    assert list(sets_of(gelu[:2] + norm)) == [
        'Candidates of the config and literal forms',
        'Candidates of the config',
        'Without tables',
    ]
    assert len(sets_of(gelu[:1] + norm[:1])) == 1


def test_tables_have_every_criterion_and_every_pair(monkeypatch):
    monkeypatch.setattr(figures, 'RESAMPLINGS', 2)
    candidates, criteria = some_candidates(), rules()
    for p in candidates:
        p.whole = p.errors
    signal, measurement = (
        Measurement([100.0, 100.0], [1, 1]),
        Measurement([1.0, 1.0], [1, 0]),
    )
    assigned = [Assigned('sqnr', 2.5e6, measurement, signal)]
    text = tables(candidates, criteria, assigned)
    assert '| sqnr | 20.00 | 50.0% | 2.50 |' in text
    for name in criteria:
        assert text.count(f'| {name} |') >= 4
    # Every table is one: each line has as many columns as the one before.
    for block in text.split('\n\n'):
        assert len({line.count('|') for line in block.splitlines() if '|' in line}) <= 1
    lines = list(
        csv.DictReader(io.StringIO(candidates_csv(candidates, criteria, np.ones(2))))
    )
    assert [line['candidate'] for line in lines] == list('abcde')
    assert float(lines[0]['SQNR, integer']) == 0 and lines[0]['cost'] == '-3'
    assert lines[0]['agreement, float'] == '0.5000'
    assert decibels(np.ones(2), np.zeros(2)) == math.inf
