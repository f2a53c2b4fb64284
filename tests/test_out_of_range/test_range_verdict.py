"""When values have left their calibration: both sides of each threshold."""

import pytest

from iptq_mm.out_of_range import CalibratedRange, OutOfRange, OutOfRangeLog, departures


def log_of(**fields):
    return OutOfRangeLog({'a': OutOfRange(width=255, **fields)})


@pytest.mark.parametrize(
    'clipped, known, leaves',
    [
        (90, CalibratedRange(), False),  # less than a thousandth
        (110, CalibratedRange(), True),
        (900, CalibratedRange(0.001), False),  # less than ten times as much
        (1100, CalibratedRange(0.001), True),
        (100_000, CalibratedRange(0.5), False),  # before a ReLU, half is clipped
        (900, None, False),  # unknown: a hundredth
        (1100, None, True),
    ],
)
def test_share(clipped, known, leaves):
    log = log_of(total=100_000, low=[clipped], farthest=(1, 0))
    found = departures(log, None if known is None else {'a': known})
    assert bool(found) == leaves
    assert not any(d.far for d in found)


def test_few_values_are_no_share():
    few = log_of(total=100, high=[31], farthest=(0, 1))
    assert not departures(few, {})
    assert departures(log_of(total=100, high=[32], farthest=(0, 1)), {})


@pytest.mark.parametrize('side', [0, 1])
def test_distance(side):
    """Beyond the farthest calibrated value by more than the whole extent."""
    known = CalibratedRange(1e-5, 20, 20)
    for distance, far in ((20 + 255 + 40, False), (20 + 255 + 40 + 1, True)):
        farthest = (distance, 0) if side == 0 else (0, distance)
        log = log_of(total=10**6, low=[0] * 8 + [1], farthest=farthest)
        assert [d.far for d in departures(log, {'a': known})] == [True] * far


def test_a_quantizer_that_calibration_did_not_clip_is_known():
    """Names are missing in the plan where nothing was clipped, or for fit ranges."""
    log = log_of(total=10_000, low=[50], farthest=(1, 0))
    assert departures(log, {'b': CalibratedRange()})
    assert not departures(log, None)


def test_the_worst_first_and_in_words():
    log = log_of(total=1000, high=[400], farthest=(0, 1))
    log.sites['b'] = OutOfRange(1000, [500], [], (1, 0), 255)
    first, second = departures(log, {'a': CalibratedRange(0.001, 0, 12)})
    assert (first.name, second.name) == ('b', 'a')
    assert '50.000% of its values' in str(first) and 'range of 255' in str(first)
    assert 'in calibration 0.100%, by 12 at most' in str(second)
