import math

import hypothesis.strategies as st
import pytest
from criteria_cases import build, chosen, errors, n
from hypothesis import given, settings

from iptq_mm.criteria import CandidateErrors
from iptq_mm.registry import CRITERIA

NAMES = sorted(CRITERIA.module_dict)
SCORING = [name for name in NAMES if name != 'fixed']


def test_the_registry_is_full():
    assert {'unified_metric', 'sqnr', 'sqnr_difference', 'perturbation'} < set(NAMES)
    assert {'cost', 'output_error', 'fixed'} < set(NAMES)


def test_unified_metric_by_hand():
    e = errors(db=20, error=3.0, elements=300, images=2, cost=9.0)
    q = 1 / n(20)
    assert build('unified_metric').score(e) == pytest.approx(3 / (q + n(1.5) + n(9)))
    score = build('unified_metric', p_reduction='mean').score(e)
    assert score == pytest.approx(3 / (q + n(0.01) + n(9)))
    score = build('unified_metric', c_unit='total').score(e)
    assert score == pytest.approx(3 / (q + n(1.5) + 9 * 150))


def test_unified_metric_vetoes_without_overflow():
    metric = build('unified_metric')
    bad = metric.score(errors(db=-40, cost=1.0))
    assert 0 < bad == pytest.approx(3e-6, rel=1e-3)
    assert bad < metric.score(errors(db=10, error=1e4, cost=100.0))
    # Beyond the cap, the other terms still rank.
    assert metric.score(errors(db=-300, cost=1.0)) > metric.score(
        errors(db=-300, cost=1e5)
    )
    assert metric.score(errors(db=-300, error=1e300)) == pytest.approx(0, abs=1e-200)
    assert build('unified_metric', veto=10.0).score(errors(db=-300)) > 0.1


@settings(deadline=None)
@given(
    st.floats(-300, 300),
    st.floats(1e-20, 1e20),
    st.floats(0, 1e6),
    st.sampled_from(['sum', 'mean']),
    st.sampled_from(['element', 'total']),
)
def test_unified_metric_is_monotone(db, error, cost, p_reduction, c_unit):
    metric = build('unified_metric', p_reduction=p_reduction, c_unit=c_unit)
    score = metric.score(errors(db=db, error=error, cost=cost))
    assert math.isfinite(score) and score > 0
    slack = 1 + 1e-9
    assert metric.score(errors(db=db + 1, error=error, cost=cost)) * slack >= score
    assert metric.score(errors(db=db, error=error / 2, cost=cost)) * slack >= score
    assert metric.score(errors(db=db, error=error, cost=cost / 2)) * slack >= score


def test_the_default_metric_is_not_degenerate():
    assert chosen(build('unified_metric')) == ['middle', 'cheap', 'best']
    # ... as it is when P is a mean, or C a total: the cheapest that survives.
    assert chosen(build('unified_metric', p_reduction='mean')) == [
        'cheap',
        'cheap',
        'best',
    ]
    assert chosen(build('sqnr')) == ['best'] * 3
    assert chosen(build('cost')) == ['cheap'] * 3
    assert chosen(build('perturbation')) == ['best'] * 3


def test_sqnr_difference_readings():
    a, b = errors(db=30, db_in=40), errors(db=38, db_in=40)
    c = errors(db=41, db_in=40)
    assert build('sqnr_difference').score(a) == pytest.approx(2 * (30 - 40))
    assert build('sqnr_difference', reading='literal').score(a) == pytest.approx(20)
    assert build('sqnr_difference', reading='absolute').score(c) == pytest.approx(-2)
    candidates = dict(a=a, b=b, c=c)

    def choice(**options):
        return build('sqnr_difference', **options).choose('softmax', candidates)

    assert choice() == 'c'
    assert choice(reading='literal') == 'a'
    assert choice(reading='absolute') == 'c'
    candidates['d'] = errors(db=60, db_in=40)
    assert choice() == 'd' and choice(reading='absolute') == 'c'


def test_sqnr_difference_takes_the_mean_of_ratios():
    # Two images of ratio 10 and 1000: the mean ratio is 505, not 100.
    e = errors(images=2, ratio=1010.0, db_in=0)
    assert build('sqnr_difference').score(e) == pytest.approx(20 * math.log10(505))


@pytest.mark.parametrize('name', SCORING)
def test_ties_go_to_the_cheaper_then_to_the_first_name(name):
    criterion = build(name)
    same = dict(b=errors(), a=errors(), c=errors())
    assert criterion.choose('gelu', same) == 'a'
    if name not in ('cost', 'unified_metric'):
        same['z'] = errors(cost=1.0)
        assert criterion.choose('gelu', same) == 'z'
    # The last bits depend on the order of addition: they decide nothing.
    nearly = dict(a=errors(cost=5.0), b=errors(30 + 1e-12, 1 - 1e-12, cost=5.0))
    assert criterion.choose('gelu', nearly) == 'a'


@pytest.mark.parametrize('name', SCORING)
def test_nothing_to_choose_from(name):
    with pytest.raises(ValueError, match='without candidates'):
        build(name).choose('gelu', {})


@pytest.mark.parametrize('name', [n for n in SCORING if n != 'cost'])
def test_nan_never_wins(name):
    criterion = build(name)
    broken = errors(cost=0.0, ratio=math.nan)
    broken.error = broken.output_error = math.nan
    assert criterion.choose('gelu', dict(a=broken, b=errors(db=-50))) == 'b'
    with pytest.raises(ValueError, match='did analysis see any image'):
        criterion.choose('gelu', dict(a=broken))


def test_only_one_criterion_pays_for_gradients():
    assert build('output_error').needs_gradients
    assert not any(build(n).needs_gradients for n in ('unified_metric', 'sqnr', 'cost'))
    assert build('output_error', draws=3).draws == 3


def affecting(systematic, uncorrelated, cost=1.0, draws=6):
    return CandidateErrors(
        output_error=draws * systematic,
        weighted_error=draws * uncorrelated,
        draws=draws,
        cost=cost,
    )


def test_output_error_by_hand():
    e = affecting(0.5, 0.125)
    assert build('output_error', kind='systematic').score(e) == -0.5
    assert build('output_error', kind='uncorrelated').score(e) == -0.125
    assert build('output_error').score(e) == -0.5
    assert build('output_error').score(affecting(0.125, 0.5)) == -0.5


def test_output_error_takes_the_cheapest_that_is_good_enough():
    candidates = dict(
        best=affecting(1e-4, 1e-4, cost=21.0),
        close=affecting(1.04e-4, 1.04e-4, cost=11.0),
        closer=affecting(1.02e-4, 1.02e-4, cost=12.0),
        cheap=affecting(1e-3, 1e-3, cost=2.0),
    )

    def choice(**options):
        criterion = build('output_error', kind='systematic', **options)
        return criterion.choose('gelu', candidates)

    assert choice(tolerance=0.05) == 'close'
    assert choice(tolerance=0.03) == 'closer'
    assert choice(tolerance=0.0) == 'best'
    assert choice(tolerance=0.0, floor_db=41.0) == 'best'
    assert choice(tolerance=0.0, floor_db=31.0) == 'close'
    assert choice(floor_db=30.0) == 'cheap' == choice(floor_db=10.0)
    candidates['broken'] = affecting(math.nan, math.nan, cost=0.0)
    assert choice(tolerance=0.05) == 'close'


@pytest.mark.parametrize(
    ('draws', 'chosen'), [(32, 'lucky'), (128, 'plain'), (2048, 'costly')]
)
def test_output_error_does_not_pay_for_luck(draws, chosen):
    """The fewer draws there are, the more of a difference may be chance."""
    candidates = dict(
        costly=affecting(1e-4, 1e-4, 9.0, draws),
        plain=affecting(1.3e-4, 1.01e-4, 8.0, draws),
        lucky=affecting(1.6e-4, 1.01e-4, 7.0, draws),
        # What is hardly noisy tells these, however few draws there are.
        coarse=affecting(1.4e-4, 1.4e-4, 1.0, draws),
        biased=affecting(9e-4, 1e-4, 1.0, draws),
    )
    assert build('output_error', tolerance=0.05).choose('gelu', candidates) == chosen
    exact = build('output_error', kind='systematic', tolerance=0.05)
    assert exact.choose('gelu', candidates) == 'costly'


def test_output_error_without_gradients():
    with pytest.raises(ValueError, match='has a score'):
        build('output_error').choose('gelu', dict(a=CandidateErrors(error=1.0)))


def test_no_output_depends_on_the_site():
    candidates = dict(a=affecting(0.0, 0.0, cost=3.0), b=affecting(0.0, 0.0, cost=2.0))
    assert build('output_error').choose('gelu', candidates) == 'b'


def test_fixed():
    fixed = build('fixed', names=dict(gelu='b', softmax='x'))
    candidates = dict(a=errors(), b=errors(db=-9))
    assert fixed.choose('gelu', candidates) == 'b'
    with pytest.raises(ValueError, match="'x' is no candidate.*candidates: a, b"):
        fixed.choose('softmax', candidates)
    with pytest.raises(ValueError, match='layer_norm, only for gelu, softmax'):
        fixed.choose('layer_norm', candidates)
    with pytest.raises(ValueError, match='candidates: none'):
        fixed.choose('gelu', {})


def test_fixed_names_are_checked_before_calibration():
    candidates = dict(gelu=['a', 'b'], softmax=['x'], layer_norm=['n'])
    build('fixed', names=dict(gelu='b')).check(candidates)
    with pytest.raises(ValueError, match="names 'c' for gelu, which is no candidate"):
        build('fixed', names=dict(gelu='c')).check(candidates)
    with pytest.raises(ValueError, match="names 'a' for relu"):
        build('fixed', names=dict(relu='a')).check(candidates)
    for name in SCORING:
        build(name).check({})


@pytest.mark.parametrize(
    'options',
    [
        dict(type='unified_metric', p_reduction='max'),
        dict(type='unified_metric', c_unit='layer'),
        dict(type='unified_metric', veto=0),
        dict(type='sqnr_difference', reading='best'),
        dict(type='sqnr_difference', measure='db'),
        dict(type='unified_metric', weights=dict(r=1)),
        dict(type='unified_metric', weights=dict(q=-1)),
        dict(type='unified_metric', weights=dict(q='1')),
        dict(type='unified_metric', weights=dict(c=math.inf)),
        dict(type='unified_metric', weights=dict(q=0, p=0, c=0)),
        dict(type='unified_metric', cost='seconds'),
        dict(type='cost', cost='seconds'),
        dict(type='output_error', cost='seconds'),
        dict(type='output_error', kind='random'),
        dict(type='output_error', tolerance=-0.1),
        dict(type='output_error', draws=0),
    ],
)
def test_impossible_options(options):
    with pytest.raises(ValueError):
        CRITERIA.build(options)


def test_sqnr_difference_of_plain_sqnr():
    # The mean ratio is that of the best image, the sane measure that of all.
    e = errors(db=20, db_in=30, images=2, ratio=2e6)
    asqnr = build('sqnr_difference').score(e)
    assert asqnr == pytest.approx(20 * math.log10(1e6) - 20 * 3)
    sane = build('sqnr_difference', measure='sqnr')
    assert sane.score(e) == pytest.approx(-10)
    assert build('sqnr_difference', measure='sqnr', reading='literal').score(
        e
    ) == pytest.approx(10)
