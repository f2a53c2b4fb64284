"""The candidates dict: names of functions, and each message says what to write."""

import pytest
from config_cases import read
from region_models import CANDIDATES

from iptq_mm.calibration import ConfigError


def test_options_tell_functions_of_a_type_apart():
    cfg = dict(type='ibert_layernorm', literal=True)
    layer_norm = [dict(type='ibert_layernorm'), cfg]
    names = read({**CANDIDATES, 'layer_norm': layer_norm}).candidates['layer_norm']
    assert list(names) == ['ibert_layernorm', 'ibert_layernorm(literal=True)']


MISTAKES = {
    'none': ({'gelu': []}, r"candidates.gelu is empty.*one of \['i_gelu'"),
    'unknown': (
        {'gelu': [dict(type='gelu')]},
        r"no integer function 'gelu'; there are \[",
    ),
    'of another kind': (
        {'softmax': [dict(type='i_gelu')]},
        r"'i_gelu' is no function for softmax; those are \['bit_softmax'",
    ),
    'another kind': ({'relu': [dict(type='i_gelu')]}, "'i_gelu' is no function for"),
    'option': (
        {'gelu': [dict(type='i_gelu', degree=3)]},
        "integer function .*'i_gelu'.*degree",
    ),
    'no type': (
        {'gelu': [dict(degree=3)]},
        'no integer function: write a dict with a type',
    ),
    'text': ({'gelu': ['i_gelu']}, 'no integer function: write a dict with a type'),
}


@pytest.mark.parametrize('name', MISTAKES)
def test_mistakes(name):
    candidates, message = MISTAKES[name]
    with pytest.raises(ConfigError, match=message):
        read({**CANDIDATES, **candidates})


def test_a_missing_kind():
    with pytest.raises(ConfigError, match='candidates.layer_norm is empty'):
        read({k: v for k, v in CANDIDATES.items() if k != 'layer_norm'})
