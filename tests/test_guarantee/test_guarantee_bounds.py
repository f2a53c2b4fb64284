import pytest
from hypothesis import given
from hypothesis import strategies as st

from iptq_mm.guarantee import images_needed, largest_rate, smallest_rate, tail


@pytest.mark.parametrize('count, total', [(0, 5), (3, 5), (5, 5), (368, 372)])
def test_bounds_are_those_of_scipy(count, total):
    from scipy.stats import binomtest

    exact = binomtest(count, total, alternative='greater')
    low = exact.proportion_ci(0.95, 'exact').low
    assert smallest_rate(count, total, 0.95) == pytest.approx(low, abs=1e-12)
    exact = binomtest(count, total, alternative='less')
    high = exact.proportion_ci(0.95, 'exact').high
    assert largest_rate(count, total, 0.95) == pytest.approx(high, abs=1e-12)


@given(st.integers(1, 400), st.data())
def test_a_bound_is_where_the_test_rejects(total, data):
    count = data.draw(st.integers(0, total - 1))
    bound = largest_rate(count, total, 0.9)
    assert tail(count, total, min(1, bound + 1e-6)) <= 0.1 + 1e-9
    assert tail(count, total, bound - 1e-6) >= 0.1 - 1e-9


@given(st.floats(0.5, 0.999), st.floats(0.5, 0.999))
def test_so_many_images_are_needed(agreement, confidence):
    needed = images_needed(agreement, confidence)
    assert smallest_rate(needed, needed, confidence) >= agreement - 1e-9
    if needed > 1:
        assert smallest_rate(needed - 1, needed - 1, confidence) < agreement + 1e-9


def test_no_trials_have_no_rate():
    with pytest.raises(ValueError, match='0 of 0'):
        smallest_rate(0, 0, 0.9)
    with pytest.raises(ValueError, match='6 of 5'):
        tail(6, 5, 0.9)
