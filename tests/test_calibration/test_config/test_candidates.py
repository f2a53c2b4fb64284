"""The candidates dict: names of functions, and each message says what to write."""

from pathlib import Path

import pytest
from config_cases import read
from mmengine.config import Config
from region_models import CANDIDATES

from iptq_mm.calibration import ConfigError
from iptq_mm.calibration.config.candidates import DEFAULT

ROOT = Path(__file__).parents[3]


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
    'another kind': (
        {'layernorm': [dict(type='ibert_layernorm')]},
        "candidates.layernorm: there is no .* for layernorm.*did you mean 'layer_norm'",
    ),
    'misspelt': ({'gelu': [dict(type='i_gleu')]}, "did you mean 'i_gelu'"),
    'no list': ({'gelu': dict(type='i_gelu')}, 'candidates.gelu is a list of dicts'),
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


def test_defaults_are_the_preset_of_tables():
    preset = Config.fromfile(ROOT / 'configs/_base_/candidates/tables.py').candidates
    assert read(None).candidates == read(preset.to_dict()).candidates


def test_a_missing_kind_has_its_default():
    found = read({k: v for k, v in CANDIDATES.items() if k != 'layer_norm'}).candidates
    assert list(found['layer_norm']) == DEFAULT['layer_norm']
    assert found['gelu'] == read().candidates['gelu']


def test_their_place_is_in_quantization():
    given = {k: [dict(f) for f in v] for k, v in CANDIDATES.items()}
    assert read(None, candidates=given).candidates == read(given).candidates


def test_two_places():
    with pytest.raises(
        ConfigError, match=r'given twice.*candidates=dict\(_delete_=True'
    ):
        read(CANDIDATES, candidates=CANDIDATES)
    # As the message says.
    read(dict(_delete_=True), candidates=CANDIDATES)


def test_no_dict():
    with pytest.raises(ConfigError, match='candidates is a dict, by kind'):
        read(['i_gelu'])
