"""The quantization dict: what it holds, and each message says what to write."""

import pytest
from config_cases import read
from region_models import CANDIDATES

from iptq_mm.calibration import ConfigError, QuantizationConfig


def test_defaults():
    config = read()
    assert (config.weight.bits, config.activation.bits, config.wide.bits) == (8, 8, 16)
    assert config.criterion == {'type': 'unified_metric'}
    assert config.regions == ['a'] and config.calibration.num_images == 128
    assert {k: list(v) for k, v in config.candidates.items()} == {
        'gelu': ['table_gelu'],
        'softmax': ['table_softmax'],
        'layer_norm': ['ibert_layernorm'],
    }
    assert config.functions()['gelu']['table_gelu'].kind == 'gelu'


def test_mm_configs_are_taken():
    from mmengine.config import Config

    cfg = Config(
        dict(
            quantization=dict(regions=['a'], weight=dict(bits=4)), candidates=CANDIDATES
        )
    )
    config = QuantizationConfig.from_dict(cfg.quantization, cfg.candidates)
    assert config.weight.bits == 4
    assert type(config.candidates['gelu']['table_gelu']) is dict


def test_one_region_as_text():
    assert read(regions='backbone').regions == ['backbone']


OBSERVER = dict(type='percentile')
MISTAKES = {
    'no regions': (dict(regions=[]), r"regions is empty.*regions=\['backbone'\]"),
    'option': (dict(bits=8), r"quantization has no option 'bits'; it has \['regions'"),
    'part option': (
        dict(weight=dict(bit=4)),
        r"quantization.weight has no option 'bit'; it has \['bits', 'observer'",
    ),
    'part': (dict(weight=4), 'quantization.weight is a dict, not 4'),
    'weight bits': (dict(weight=dict(bits=9)), r'weight.bits=9: use 2 to 8'),
    'few bits': (dict(weight=dict(bits=1)), r'weight.bits=1: use 2 to 8'),
    'activation bits': (dict(activation=dict(bits=16)), r'activation.bits=16: use 2'),
    'wide bits': (dict(wide=dict(bits=17)), r'wide.bits=17: use 2 to 16'),
    'no bits': (dict(wide=dict(gelu=0)), r'wide.gelu=0: use 2 to 16'),
    'attention': (dict(wide=dict(attention=32)), r'wide.attention=32: use 2 to 16'),
    'images': (dict(calibration=dict(num_images=0)), r'num_images=0.*needs images'),
    'batch': (dict(calibration=dict(batch_size=-1)), r'batch_size=-1.*needs images'),
    'observer': (
        dict(activation=dict(observer=dict(type='max'))),
        r"no observer 'max'; there are \[.*'minmax'.*'percentile'",
    ),
    'wide observer': (
        dict(wide=dict(observer=dict(type='max'))),
        r"no observer 'max'; there are \[",
    ),
    'observer without type': (
        dict(weight=dict(observer=dict(percentile=9))),
        'no observer: write a dict with a type',
    ),
    'observer as text': (dict(weight=dict(observer='minmax')), 'dict with a type'),
    'observer option': (
        dict(activation=dict(observer=dict(OBSERVER, percentil=99))),
        'observer .*percentil',
    ),
    'observer value': (
        dict(activation=dict(observer=dict(OBSERVER, percentile=200))),
        'observer .*200',
    ),
    'criterion': (
        dict(criterion=dict(type='best')),
        r"no criterion 'best'; there are \[.*'unified_metric'",
    ),
    'criterion option': (dict(criterion=dict(type='sqnr', x=1)), "criterion .*'x'"),
    'rounding': (
        dict(weight=dict(rounding=dict(type='up'))),
        r"no rounding 'up'; there are \[.*'nearest'",
    ),
}


@pytest.mark.parametrize('name', MISTAKES)
def test_mistakes(name):
    options, message = MISTAKES[name]
    with pytest.raises(ConfigError, match=message):
        read(**options)
