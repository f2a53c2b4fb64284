"""The guard of ranges as a config has it."""

import pytest
from config_cases import read

from iptq_mm.calibration import ConfigError


def test_there_is_none_by_default():
    config = read()
    assert config.activation.guard_images == 0 and config.activation.guard() == []


def test_a_kept_state_depends_on_it_only_where_it_is():
    plain, other = read(), read(activation=dict(guard_observers=[dict(type='minmax')]))
    assert plain.described() == other.described()
    assert 'guard' not in plain.described()
    some = read(activation=dict(guard_images=16))
    more = read(activation=dict(guard_images=24))
    assert len({c.described() for c in (plain, some, more)}) == 3


@pytest.mark.parametrize(
    ('activation', 'calibration', 'message'),
    [
        (dict(guard_images=-1), {}, r'guard_images=-1'),
        (dict(guard_images=8), dict(num_images=8), r'num_images=8 in groups of 8'),
        (dict(guard_images=9), dict(num_images=16), r'at least one group'),
        (
            dict(guard_images=8, guard_observers=[]),
            {},
            r'without guard_observers.*nothing to compare',
        ),
        (
            dict(guard_observers=[dict(type='minmin')]),
            {},
            r"guard_observers\[0\].*'minmin'",
        ),
        (
            dict(guard_observers=[dict(type='minmax', percentile=3)]),
            {},
            r'guard_observers\[0\].*percentile',
        ),
    ],
)
def test_mistakes(activation, calibration, message):
    with pytest.raises(ConfigError, match=message):
        read(activation=activation, calibration=calibration)


def test_one_batch_is_enough_to_choose_ranges_on():
    config = read(activation=dict(guard_images=8), calibration=dict(num_images=16))
    assert config.activation.guard() == [8, config.activation.guard_observers]
