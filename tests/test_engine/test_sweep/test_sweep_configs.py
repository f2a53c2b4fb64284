"""Configs of settings: merged from files and options, digested by what they mean."""

import pytest
from mmengine.config import Config

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.sweep.configs import Configs

BASE = """
quantization = dict(weight=dict(bits=8), criterion=dict(type='sqnr'))
candidates = dict(gelu=[dict(type='i_gelu')])
load_from = 'base.pth'
work_dir = 'here'
"""


@pytest.fixture
def base(tmp_path):
    path = tmp_path / 'base.py'
    path.write_text(BASE)
    return str(path)


def configs(base, checkpoint=None, options=None):
    return Configs(base, checkpoint, options or {})


def test_options_of_one_come_after_those_of_all(base):
    made = configs(base, options={'quantization.weight.bits': 6})
    one, other = (
        made.merged({}),
        made.merged({'options': {'quantization.weight.bits': 4}}),
    )
    assert (one.quantization.weight.bits, other.quantization.weight.bits) == (6, 4)
    assert Config.fromfile(base).quantization.weight.bits == 8


def test_a_dict_in_the_place_of_another(base):
    new = {'type': 'cost', '_delete_': True}
    cfg = configs(base).merged({'options': {'quantization.criterion': new}})
    assert cfg.quantization.criterion == {'type': 'cost'}
    assert new == {'type': 'cost', '_delete_': True}


@pytest.mark.parametrize(
    'own, all_, expected',
    [
        ('own.pth', 'all.pth', 'own.pth'),
        (None, 'all.pth', 'all.pth'),
        (None, None, 'base.pth'),
    ],
)
def test_checkpoint(base, own, all_, expected):
    assert configs(base, all_).merged({'checkpoint': own}).load_from == expected


def test_files_are_read_once(base, tmp_path):
    made = configs(base)
    before = made.merged({})
    (tmp_path / 'base.py').unlink()
    assert made.merged({}).to_dict() == before.to_dict()
    with pytest.raises(FileNotFoundError, match='there is no config'):
        configs(base).merged({})


def test_key(base, tmp_path):
    made = configs(base)
    keys = [made.key(made.merged({'seed': seed})) for seed in (0, 0, 1)]
    assert keys[0] == keys[1] != keys[2]
    moved = made.merged({'options': {'work_dir': 'there'}})
    assert made.key(moved) == keys[0]
    for name, content in (('a', 'same'), ('b', 'same'), ('c', 'other')):
        (tmp_path / name).write_text(content)
    a, b, c = (
        made.key(made.merged({'checkpoint': str(tmp_path / name)})) for name in 'abc'
    )
    assert a == b and len({a, c, keys[0]}) == 3


@pytest.mark.parametrize(
    'setting, message',
    [
        ({'options': {'quantisation.x': 1}}, "has nothing called 'quantisation.x'"),
        ({'seed': 'x'}, "seed='x' is no integer"),
        ({'seed': True}, 'seed=True is no integer'),
    ],
)
def test_refused(base, setting, message):
    with pytest.raises(ConfigError, match=message):
        configs(base).merged(setting)


def test_no_config():
    with pytest.raises(ConfigError, match='it has no config'):
        configs(None).path({})


def test_candidates_of_a_file_without_any(base, tmp_path):
    other = tmp_path / 'other.py'
    other.write_text('x = 1')
    with pytest.raises(ConfigError, match='has no candidates'):
        configs(base).merged({'candidates': str(other)})
