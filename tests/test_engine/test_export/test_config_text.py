"""Configs are read as they were written, whatever they hold."""

import enum
import functools
import math
import operator
import pathlib
import re
import signal
from collections import OrderedDict

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.config.lazy import LazyAttr, LazyObject

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.export.config_text import BESIDE, config_text


def read(text, folder, name='cfg.py'):
    (folder / name).write_bytes(text.encode())
    return Config.fromfile(folder / name)


class Outer:
    class Inner:
        pass


class Colour(enum.Enum):
    RED = 'red'


VALUES = {
    'numbers': [0, -1, 1.5, True, None, 1 + 2j, ...],
    'infinities': [math.inf, -math.inf],
    'quotes': 'it\'s "so"',
    'backslashes': 'a\\b\\{{x}}',
    'lines': 'one\ntwo\r\n\tthree\x00',
    'other scripts': '猫 и 🐈',
    'no text at all': 'caf\udce9 {{ fileBasename }}',
    'variables of mmengine': '{{ fileBasename }} {{$HOME:x}} {{ _base_.x }}',
    'bytes': b'{{ fileBasename }}\xff',
    'sets': {1, 2},
    'frozen sets': frozenset({'a', 'b'}),
    'an empty set': set(),
    'tuples': ((1,), (), (1, [2, (3,)])),
    'an ordered dict': OrderedDict(b=1, a=2),
    'keys': {'a-b': 1, 0: 2, 'class': 3, (1, 2): 4, None: 5, "it's": 6},
    'an empty dict': {},
    'a type of tensors': torch.float16,
    'a layout': torch.channels_last,
    'a device': torch.device('cpu'),
    'a class': torch.optim.AdamW,
    'a class of Python': dict,
    'a class in a class': Outer.Inner,
    'a function': operator.add,
    'a method of a class': dict.fromkeys,
    'a path': pathlib.Path('a/b'),
    'a pattern': re.compile('a{{2', re.IGNORECASE),
    'members': [signal.SIGINT, Colour.RED],
    'a range': range(0, 9, 2),
    'a number of numpy': np.float32(0.1),
    'half an integer': np.int8(-3),
    'an empty array': np.zeros((0, 3), np.float16),
    'partial': functools.partial(torch.add, 1, alpha=math.inf),
}


@pytest.mark.parametrize('name', VALUES)
def test_values(name, tmp_path):
    value = VALUES[name]
    cfg = Config(dict(a=dict(b=value, c=[value], d=(value, dict(e=value)))))
    found = read(config_text(cfg), tmp_path)
    if name == 'partial':
        assert repr(found.a.b) == repr(value)
    else:
        for x in (found.a.b, found.a.c[0], found.a.d[0], found.a.d[1].e):
            assert type(x) is type(cfg.a.b)
            assert np.array_equal(x, value) if name == 'an empty array' else x == value
    assert config_text(found) == config_text(cfg)


def test_not_a_number(tmp_path):
    found = read(config_text(Config(dict(a=[math.nan]))), tmp_path)
    assert math.isnan(found.a[0])


@pytest.mark.parametrize('made', [np.array, torch.tensor])
def test_arrays(made, tmp_path):
    value = made([[1.5, -math.inf], [0.1, 3e-9]])
    found = read(config_text(Config(dict(a=value))), tmp_path).a
    assert type(found) is type(value) and found.dtype == value.dtype
    assert (found == value).all()


def test_order_of_keys(tmp_path):
    """mmengine sorts them."""
    cfg = Config(dict(z=1, a=dict(z=1, b=2)))
    found = read(config_text(cfg), tmp_path)
    assert list(found) == ['z', 'a'] and list(found.a) == ['z', 'b']


def test_names_of_the_config_itself(tmp_path):
    cfg = Config({'a-b': 1, 'lambda': dict(x=2)})
    found = read(config_text(cfg), tmp_path)
    assert found['a-b'] == 1 and found['lambda'].x == 2


FOLDERS = {
    'plain': 'plain',
    'quotes': "o'brien \"x\" '''",
    'backslash': 'back\\slash\\n',
    'braces': '{{ fileBasename }} {{$HOME:x}}',
    'lines': 'two\nlines',
    'script': '猫 space',
}


@pytest.mark.parametrize('name', FOLDERS)
def test_files_beside_it(name, tmp_path):
    folder = tmp_path / FOLDERS[name]
    folder.mkdir()
    text = config_text(Config(dict(load_from=BESIDE + 'x.pth', a=[BESIDE + "it's"])))
    found = read(text, folder)
    assert found.load_from == str(folder / 'x.pth')
    assert found.a == [str(folder / "it's")]
    # Where another config inherits it, too.
    heir = read("_base_ = './cfg.py'\nb = 1", folder, 'heir.py')
    assert heir.load_from == found.load_from


LAZY = """
import torch
from mmengine.hooks import EMAHook
from torch import float16 as half

types = dict(a=half, b=torch.float32, c=[half], d=torch.nn.Linear)
custom_hooks = [dict(type=EMAHook)]
"""


def test_configs_in_pure_python(tmp_path):
    """What they import stays lazy, where mmengine would write text."""
    (tmp_path / 'lazy.py').write_text(LAZY)
    cfg = Config.fromfile(tmp_path / 'lazy.py')
    found = read(config_text(cfg), tmp_path)
    assert set(found) == {'types', 'custom_hooks'}
    assert found.types.a is torch.float16 and found.types.b is torch.float32
    assert found.types.d is torch.nn.Linear
    # mmengine does not build what lies in lists.
    assert isinstance(cfg.types.c[0], LazyObject)
    assert isinstance(found.types.c[0], LazyObject)
    assert found.types.c[0].build() is torch.float16
    assert isinstance(dict.get(found.types, 'b'), LazyAttr)
    assert found.pretty_text == cfg.pretty_text


class Local:
    """Pickle would keep what is in it."""

    def __init__(self):
        self.x = 1


@pytest.mark.parametrize(
    'value', [lambda: 0, (i for i in 'a'), Local(), type('Made', (), {})]
)
def test_what_cannot_be_written(value):
    cfg = Config(dict(pipeline=[dict(type='x'), dict(f=[value])]))
    with pytest.raises(ConfigError, match=r'^pipeline\.1\.f\.0 is .*cannot be written'):
        config_text(cfg)
