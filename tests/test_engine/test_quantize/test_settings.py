"""The settings of a whole config: where they stand, and what stands in for them."""

import pytest
from mmengine.config import Config

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.quantize import settings
from iptq_mm.engine.quantize.settings import (
    check_names,
    read_settings,
)


def config(**keys):
    model = dict(type='mmpretrain.ImageClassifier')
    return Config(dict(model=model, quantization=dict(regions=['a']), **keys))


def test_defaults_are_those_of_the_presets():
    """What README calls the defaults."""
    found = read_settings(config())
    assert found.criterion == dict(type='output_error', tolerance=0.05)
    detector = Config(dict(model=dict(type='mmdet.MaskRCNN')))
    detector.quantization = dict(regions=['a'])
    assert read_settings(detector).criterion == found.criterion
    detector.quantization.criterion = dict(type='cost')
    assert read_settings(detector).criterion == dict(type='cost')
    assert {'table_gelu', 'interpolated_gelu'} < set(found.candidates['gelu'])


def test_candidates_in_either_place():
    candidates = dict(gelu=[dict(type='i_gelu')])
    beside = config(candidates=candidates)
    inside = config()
    inside.quantization.candidates = candidates
    expected = ['i_gelu']
    for cfg in (beside, inside):
        assert list(read_settings(cfg).candidates['gelu']) == expected
    both = config(candidates=candidates)
    both.quantization.candidates = candidates
    with pytest.raises(ConfigError, match='given twice'):
        read_settings(both)


@pytest.mark.parametrize(
    ('key', 'meant'),
    [
        ('quantisation', 'quantization'),
        ('Quantization', 'quantization'),
        ('candidate', 'candidates'),
        ('back_end', 'backend'),
        ('random_weight', 'random_weights'),
    ],
)
def test_misspelt_beside_the_right_one(key, meant):
    with pytest.raises(
        ConfigError, match=rf"cfg.py has '{key}'.*did you mean '{meant}'"
    ):
        check_names(config(**{key: dict(weight=dict(bits=4))}), 'cfg.py')


@pytest.mark.parametrize('key', ['quantisation', 'quantization_cfg', 'my_quantization'])
def test_misspelt_in_its_place(key):
    cfg = config()
    cfg[key] = cfg.pop('quantization')
    message = rf"no quantization dict, but '{key}'.*did you mean 'quantization'"
    with pytest.raises(ConfigError, match=message):
        check_names(cfg, 'cfg.py')


def test_none_at_all():
    cfg = config()
    cfg.pop('quantization')
    with pytest.raises(ConfigError, match='cfg.py has no quantization dict: inherit'):
        check_names(cfg, 'cfg.py')


def test_variables_of_ones_own(monkeypatch):
    said = []
    monkeypatch.setattr(settings, 'print_log', lambda text, *_: said.append(text))
    check_names(config(quantization_common=dict(pixels=True), _quantisation={}), 'x')
    assert said == ["x: 'quantization_common' is not read"]
    check_names(config(backend_args=None, val_dataloader={}, model_wrapper={}), 'x')
