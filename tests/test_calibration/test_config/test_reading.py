"""Dicts of a config, read."""

from dataclasses import dataclass

import pytest
from mmengine.config import Config

from iptq_mm.calibration import ConfigError
from iptq_mm.calibration.config.reading import (
    build,
    check_arguments,
    check_type,
    plain,
)
from iptq_mm.registry import OBSERVERS


@dataclass
class Part:
    bits: int = 8


def test_build():
    made = build(Part, {'bits': 4}, 'here')
    assert made == Part(4) and build(Part, {}, 'here') == Part()
    assert build(Part, made, 'here') is made
    with pytest.raises(ConfigError, match=r'here is a dict, not \[4\]'):
        build(Part, [4], 'here')
    with pytest.raises(ConfigError, match=r"here has no option 'bit'; it has \['bits'"):
        build(Part, {'bit': 4}, 'here')


def test_plain():
    cfg = Config(dict(a=dict(b=[dict(c=1)], d=(1, 'x'))))
    made = plain(cfg.a)
    assert made == {'b': [{'c': 1}], 'd': [1, 'x']}
    assert type(made) is dict and type(made['b'][0]) is dict


def test_what_is_registered():
    for good in (dict(type='minmax'), dict(type='percentile', percentile=99)):
        check_type(OBSERVERS, good)
        check_arguments(OBSERVERS, good)
    for none in ('minmax', {}, None):
        with pytest.raises(ConfigError, match='no observer: write a dict with a type'):
            check_type(OBSERVERS, none)
    with pytest.raises(ConfigError, match=r"no observer 'x'; there are \[.*'minmax'"):
        check_type(OBSERVERS, dict(type='x'))
    with pytest.raises(ConfigError, match='observer .*percentil'):
        check_arguments(OBSERVERS, dict(type='percentile', percentil=9))
