"""Methods of the whole-model analysis: made up of candidates, or given."""

from pathlib import Path

import pytest
from config_cases import read
from mmengine.config import Config
from region_models import CANDIDATES, SEVERAL

from iptq_mm.calibration import ConfigError
from iptq_mm.calibration.config.candidates import DEFAULT
from iptq_mm.calibration.config.methods import STAND_INS, methods_of
from iptq_mm.functions import function_name
from iptq_mm.registry import FUNCTIONS

PRESETS = Path(__file__).parents[3] / 'configs/_base_/candidates'


def names(methods):
    return [str(method) for method in methods]


def preset(name):
    return read(Config.fromfile(PRESETS / f'{name}.py').candidates).candidates


def test_methods_of_the_papers():
    assert names(methods_of(preset('mixed'))) == [
        'i_gelu, i_softmax, ibert_layernorm',
        'shift_gelu, shiftmax, ivit_layernorm',
        '(interpolated_gelu), log_int_softmax, fqvit_layernorm',
    ]
    assert names(methods_of(preset('iptq'))) == [
        'i_gelu, i_softmax, ibert_layernorm',
        'shift_gelu, shiftmax, ivit_layernorm',
        'poly_gelu, bit_softmax, (ibert_layernorm)',
        '(interpolated_gelu), log_int_softmax, fqvit_layernorm',
    ]


@pytest.mark.parametrize('path', sorted(PRESETS.glob('*.py')), ids=lambda p: p.stem)
def test_as_many_methods_as_the_longest_list(path):
    """Each candidate is measured in one of them."""
    candidates = preset(path.stem)
    methods = methods_of(candidates)
    assert len(methods) == max(map(len, candidates.values()))
    for kind, named in candidates.items():
        measured = [function_name(m.functions[kind]) for m in methods if kind in m[1]]
        assert sorted(measured) == sorted(named)


def test_another_form_is_another_method():
    literal = dict(type='i_gelu', literal=True)
    candidates = read(dict(SEVERAL, gelu=[dict(type='i_gelu'), literal])).candidates
    assert names(methods_of(candidates)) == [
        'i_gelu, i_softmax, ibert_layernorm',
        'i_gelu(literal=True), (table_softmax), (ibert_layernorm)',
        '(interpolated_gelu), shiftmax, ivit_layernorm',
    ]


def test_stand_ins_are_functions_of_their_kind():
    assert STAND_INS.keys() == DEFAULT.keys()
    for kind, function in STAND_INS.items():
        assert FUNCTIONS.get(function['type']).kind == kind
        assert FUNCTIONS.get(function['type']).max_input_bits == 16


def whole(methods, candidates=SEVERAL, **options):
    return read(candidates, analysis='whole-model', methods=methods, **options)


def test_given_methods():
    given = [
        dict(gelu='i_gelu', softmax='i_softmax', layer_norm='ibert_layernorm'),
        dict(gelu='poly_gelu', softmax='shiftmax'),
        dict(gelu='table_gelu', softmax=dict(type='bit_softmax', split='floor')),
        dict(gelu='i_gelu', layer_norm='ivit_layernorm'),
    ]
    methods = whole(given).analysis_methods()
    assert names(methods) == [
        'i_gelu, i_softmax, ibert_layernorm',
        'poly_gelu, shiftmax, (ibert_layernorm)',
        # A function that is no candidate makes the model complete.
        'table_gelu, (bit_softmax(split=floor)), (ibert_layernorm)',
        # One that was measured before is not measured again.
        '(i_gelu), (table_softmax), ivit_layernorm',
    ]


MISTAKES = {
    'left out': (
        [dict(gelu='i_gelu', softmax='i_softmax', layer_norm='ibert_layernorm')],
        'poly_gelu, table_gelu, shiftmax, ivit_layernorm is in no method',
    ),
    'unknown': ([dict(gelu='i_gleu')], r"methods\[0\].gelu: .* did you mean 'i_gelu'"),
    'kind': ([dict(layernorm='i')], r"no kind 'layernorm'.*did you mean 'layer_norm'"),
    'of another kind': (
        [dict(softmax=dict(type='i_gelu'))],
        r"methods\[0\].softmax: 'i_gelu' is no function for softmax",
    ),
    'empty': ([{}], r'methods\[0\] is a dict of functions by kind'),
    'text': (['i_gelu'], r'methods\[0\] is a dict of functions by kind'),
    'number': ([dict(gelu=3)], r'methods\[0\].gelu: 3 is no integer function'),
}


@pytest.mark.parametrize('case', MISTAKES)
def test_mistakes(case):
    methods, message = MISTAKES[case]
    with pytest.raises(ConfigError, match=message):
        whole(methods)


def test_methods_belong_to_whole_models():
    with pytest.raises(ConfigError, match="add quantization.analysis='whole-model'"):
        read(CANDIDATES, methods=[dict(gelu='table_gelu')])
    with pytest.raises(ConfigError, match="use 'site' or 'whole-model'"):
        read(CANDIDATES, analysis='model')


def test_the_criterion_of_whole_models():
    assert read(CANDIDATES).criterion['type'] == 'output_error'
    assert whole([], CANDIDATES).criterion == {'type': 'sqnr_difference'}
    assert (
        whole([], CANDIDATES, criterion=dict(type='sqnr')).criterion['type'] == 'sqnr'
    )
    with pytest.raises(ConfigError, match="_delete_=True, type='sqnr_difference'"):
        whole([], CANDIDATES, criterion=dict(type='output_error'))


@pytest.mark.parametrize('weight', [-1, 'two', float('inf'), float('nan'), None])
def test_costs_of_operations_are_numbers(weight):
    with pytest.raises(ConfigError, match='cost_weights.div=.*give a number'):
        read(CANDIDATES, cost_weights=dict(div=weight))
    assert read(CANDIDATES, cost_weights=dict(div=20, mul=0.5))
