"""The quantization dict: what it holds, and each message says what to write."""

import pytest
from config_cases import read
from region_models import CANDIDATES

from iptq_mm.calibration import ConfigError, QuantizationConfig


def test_defaults():
    config = read()
    assert (config.weight.bits, config.activation.bits, config.wide.bits) == (8, 8, 16)
    assert config.criterion == {'type': 'output_error', 'tolerance': 0.05}
    assert config.regions == ['a'] and config.calibration.num_images == 128
    assert {k: list(v) for k, v in config.candidates.items()} == {
        'gelu': ['table_gelu'],
        'softmax': ['table_softmax'],
        'layer_norm': ['ibert_layernorm'],
        'unary': ['interpolated_unary'],
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


def test_a_region_named_twice_counts_once():
    assert read(regions=['a', 'b', 'a']).regions == ['a', 'b']


def test_delete_marks_are_no_options():
    """mmengine leaves them where nothing was inherited."""
    config = read(criterion=dict(_delete_=True, type='sqnr'), wide=dict(_delete_=True))
    assert config.criterion == dict(type='sqnr')


def test_widths_that_little_survives():
    assert read().unusual() == []
    narrow = read(weight=dict(bits=3), activation=dict(bits=4), wide=dict(bits=8))
    assert narrow.unusual() == []
    with pytest.raises(ConfigError, match=r'wide\.bits=4: .* 8 bits .*on_mismatch'):
        read(wide=dict(bits=4))
    (said,) = read(wide=dict(bits=4), on_mismatch='warn').unusual()
    assert 'quantization.wide.bits=4: ' in said and 'fewer than 8 bits' in said
    found = read(
        weight=dict(bits=2), activation=dict(bits=3), wide=dict(gelu=7, softmax=4)
    ).unusual()
    assert len(found) == 4


def test_one_region_as_text():
    assert read(regions='backbone').regions == ['backbone']


OBSERVER = dict(type='percentile')
_INHERITED = r'.*drop what it says by {}=dict\(_delete_=True, type=.{}.'
MISTAKES = {
    'near miss': (dict(region=['a']), "no option 'region'.*did you mean 'regions'"),
    'bits as text': (dict(weight=dict(bits='4')), "weight.bits='4': give an integer"),
    'bits as float': (dict(wide=dict(bits=8.0)), r'wide.bits=8.0: give an integer'),
    'yes as text': (dict(pixels='yes'), "pixels='yes': give True or False"),
    'reconstruction misspelt': (
        dict(reconstruction=dict(epoch=3)),
        "reconstruction has no option 'epoch'.*did you mean 'epochs'",
    ),
    'groups of codes that fill 8 bits': (
        dict(weight=dict(bits=8, group=16)),
        r'weight.group=16 with bits=8: use 2 or more inputs, and 2 to 7 bits; or 0',
    ),
    'groups of one input': (
        dict(weight=dict(bits=4, group=1)),
        r'weight.group=1 with bits=4: use 2 or more',
    ),
    'damping that leaves nothing': (
        dict(reconstruction=dict(damping=1.0)),
        r'reconstruction.damping=1.0: use 0 or more, below 1',
    ),
    'reconstruction for a time that is negative': (
        dict(reconstruction=dict(epochs=-1)),
        r'reconstruction.epochs=-1: use 0 or more',
    ),
    'a rate that is no number': (
        dict(reconstruction=dict(rate='high')),
        "reconstruction.rate='high': give a number",
    ),
    'a rate that is infinite': (
        dict(reconstruction=dict(wide_rate=float('inf'))),
        r'reconstruction.wide_rate=inf: use a number of 0 or more',
    ),
    'float inputs only': (
        dict(reconstruction=dict(float_share=1)),
        r'reconstruction.float_share=1: use 0 or more, below 1',
    ),
    'optional bits': (dict(wide=dict(gelu='8')), 'give an integer or None'),
    'a dict for a list': (
        dict(equalization=dict(type='layer_norm')),
        'quantization.equalization=.*: give a list of dict',
    ),
    'regions': (dict(regions=[1]), 'regions=.*: give a list of str'),
    'cost': (
        dict(cost_weights=dict(shifts=2)),
        "cost_weights has no 'shifts'.*did you mean 'shift'",
    ),
    'tolerance of another criterion': (
        dict(criterion=dict(type='sqnr', tolerance=0.05)),
        "quantization.criterion: criterion 'sqnr' has no option 'tolerance'.*"
        "'output_error' has tolerance" + _INHERITED.format('criterion', 'sqnr'),
    ),
    'percentile of another observer': (
        dict(activation=dict(observer=dict(type='minmax', percentile=99.999))),
        "activation.observer: observer 'minmax' has no option 'percentile'.*"
        "'percentile' has percentile" + _INHERITED.format('observer', 'minmax'),
    ),
    'no regions': (dict(regions=[]), r"regions is empty.*regions=\['backbone'\]"),
    'option': (dict(bits=8), r"quantization has no option 'bits'; it has \['regions'"),
    'part option': (
        dict(weight=dict(bit=4)),
        r"quantization.weight has no option 'bit'; it has \['bits', 'observer'",
    ),
    'part': (dict(weight=4), 'quantization.weight is a dict, not 4'),
    'weight bits': (dict(weight=dict(bits=17)), r'weight.bits=17: use 2 to 16'),
    'few bits': (dict(weight=dict(bits=1)), r'weight.bits=1: use 2 to 16'),
    'activation bits': (dict(activation=dict(bits=17)), r'activation.bits=17: use 2'),
    'wide bits': (dict(wide=dict(bits=17)), r'wide.bits=17: use 2 to 16'),
    'no bits': (dict(wide=dict(gelu=0)), r'wide.gelu=0: use 2 to 16'),
    'attention': (dict(wide=dict(attention=32)), r'wide.attention=32: use 2 to 16'),
    'images': (dict(calibration=dict(num_images=0)), r'num_images=0.*needs images'),
    'stage': (
        dict(calibration=dict(recalibrate='al')),
        r"calibration.recalibrate='al'.*'all', 'order'.*did you mean 'all'",
    ),
    'stage of another type': (
        dict(calibration=dict(recalibrate=True)),
        r'calibration.recalibrate=True: give a str or None',
    ),
    'place of errors': (
        dict(calibration=dict(function_ranges='sites')),
        r"calibration.function_ranges='sites'.*did you mean 'site'",
    ),
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


def test_codes():
    levels, none = dict(gelu=dict(type='levels')), dict(gelu=None, layer_norm=None)
    assert read().activation.codes == {}
    assert read(activation=dict(codes=levels)).activation.codes == levels
    assert read(activation=dict(codes=none)).activation.codes == none


@pytest.mark.parametrize(
    'codes, message',
    [
        (dict(gelus=dict(type='levels')), r"codes has no 'gelus'; .* mean 'gelu'\?"),
        (dict(softmax=dict(type='levels')), r"codes has no 'softmax'"),
        (dict(gelu=dict(type='level')), r"codes\.gelu: .* mean 'levels'\?"),
        (dict(gelu='levels'), r"codes\.gelu: 'levels' is no code: write a dict"),
        (dict(gelu=dict(type='levels', bits=4)), r"codes\.gelu: .* option 'bits'"),
    ],
)
def test_codes_that_are_none(codes, message):
    with pytest.raises(ConfigError, match=message):
        read(activation=dict(bits=6, codes=codes))
