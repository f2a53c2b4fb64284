"""The pipelines of the papers: what configs/papers says is what it runs."""

import re

import pytest
from shipped import CONFIGS, PAPERS, load

from iptq_mm.engine.loading.scopes import region_scopes
from iptq_mm.engine.quantize.settings import read_settings

SINGLE = ('ibert', 'ivit', 'fqvit')
CLASSIFIERS = [
    'vit/vit-small',
    'vit/vit-base',
    'deit/deit-tiny',
    'deit/deit-small',
    'deit/deit-base',
    'swin/swin-tiny',
    'swin/swin-small',
]
DETECTORS = [f'cascade_mask_rcnn/cascade-mask-rcnn_swin-{s}' for s in 'ts']
BITS = {'w8a8': (8, 8, 8), 'w4a8': (4, 8, 8), 'w6a6': (6, 6, 6)}


def expected():
    """The configs that the papers ask for."""
    for folder, method in (('iptq_vit', 'iptq'), ('mixed', 'mixed')):
        for model, data in [
            *((m, 'in1k') for m in CLASSIFIERS),
            *((m, 'coco') for m in DETECTORS),
        ]:
            family, name = model.split('/')
            for bits in BITS:
                start = f'papers/{folder}/{family}'
                yield f'{start}/{name}_{method}-{bits}_{data}.py'
                yield f'{start}/sample/{name}_{method}-{bits}_{data}-sample.py'
    for method in SINGLE:
        yield f'papers/mixed/deit/sample/deit-tiny_{method}-w8a8_in1k-sample.py'


def test_every_model_and_precision_is_there():
    assert sorted(expected()) == PAPERS


@pytest.mark.parametrize('name', PAPERS)
@pytest.mark.slow
def test_names_say_what_they_run(name):
    cfg = load(name)
    settings = read_settings(cfg)
    for region in settings.regions:
        assert region_scopes(cfg.model, region, cfg.default_scope)
    method, bits = re.search(r'_(\w+)-(w\da\d)_', name).groups()
    wide = settings.wide
    assert settings.candidates.pop('unary')  # which no model of the papers has
    found = (settings.weight.bits, settings.activation.bits, wide.gelu)
    assert found == BITS[bits]
    assert wide.softmax == wide.gelu and wide.bits == 16
    criterion = settings.criterion['type']
    if method in SINGLE:
        assert [len(f) for f in settings.candidates.values()] == [1, 1, 1]
    else:
        assert (
            criterion == {'iptq': 'unified_metric', 'mixed': 'sqnr_difference'}[method]
        )
        stages = settings.analysis, settings.calibration.recalibrate
        stages_of = {'iptq': ('site', 'all'), 'mixed': ('whole-model', None)}
        assert stages == stages_of[method]
        assert bool(cfg.get('qat')) == (method == 'mixed')
        preset = load(f'_base_/candidates/{method}.py').candidates
        assert types(settings.candidates) == {
            kind: [f['type'] for f in functions] for kind, functions in preset.items()
        }
    swin = 'swin' in name
    assert wide.attention == (8 if swin else None)
    for functions in settings.candidates.values():
        for function in functions.values():
            assert function.get('literal') or function['type'] == 'poly_gelu'
            if function['type'] == 'shiftmax':
                assert function.get('output_bits', 16) == (8 if swin else 16)


@pytest.mark.parametrize('name', PAPERS)
@pytest.mark.slow
def test_the_linear_side_is_that_of_ivit(name):
    settings = read_settings(load(name))
    assert not settings.pixels and not settings.equalization
    assert settings.weight.rounding == {'type': 'nearest'}
    assert settings.weight.observer == {'type': 'minmax'}
    assert not settings.weight.bias_correction and not settings.weight.guided
    assert settings.activation.symmetric and not settings.activation.search_images
    for part in (settings.activation, settings.wide):
        assert part.observer == {'type': 'ema', 'momentum': 0.95}


@pytest.mark.parametrize('name', [n for n in PAPERS if '-sample' in n])
@pytest.mark.slow
def test_samples_differ_in_data_and_weights_only(name):
    cfg = load(name)
    whole = name.replace('/sample/', '/').replace('-sample', '')
    if not (CONFIGS / whole).exists():
        assert any(f'_{method}-' in name for method in SINGLE)
        return
    usual = load(whole)
    assert '/data/' in cfg.test_dataloader.dataset.data_root
    assert '/data/' not in usual.test_dataloader.dataset.data_root
    assert cfg.get('random_weights', False) == ('deit-tiny' not in name)
    assert bool(cfg.load_from) == ('deit-tiny' in name) and usual.load_from
    assert cfg.model == usual.model
    assert cfg.get('data_preprocessor') == usual.get('data_preprocessor')
    assert cfg.candidates == usual.candidates
    for settings in (cfg.quantization, usual.quantization):
        del settings['calibration']
    assert cfg.quantization == usual.quantization


def types(candidates):
    """The types by kind, in their order."""
    return {
        kind: [function['type'] for function in named.values()]
        for kind, named in candidates.items()
    }
