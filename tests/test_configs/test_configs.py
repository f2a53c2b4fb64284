"""Every shipped config must parse, inherit what it says, and build its model."""

import importlib
import os
import re
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.registry import init_default_scope
from shipped import CONFIGS, EVERY, OLD, PAPERS, PRESETS, ROOT, load

from iptq_mm.calibration import expanded
from iptq_mm.engine.loading.scopes import region_holder, region_scopes
from iptq_mm.engine.quantize.settings import read_settings
from iptq_mm.engine.train.config import read_training

DATA = Path(os.environ.get('IPTQ_MM_DATA', '../shared'))

needs_data = [
    pytest.mark.data,
    pytest.mark.skipif(
        not (DATA / 'data').is_dir(),
        reason=f'no images in {DATA}: set IPTQ_MM_DATA to a folder that has them',
    ),
]


# A dataset for any model, without one.
DATA_ONLY = ['imagenet_test.py']
ALL = sorted(set(EVERY) - set(OLD) - set(PAPERS) - set(DATA_ONLY))
WHOLE = [name for name in PRESETS if '_whole-' in name]


@pytest.fixture
def quick_init(monkeypatch):
    """Leave parameters as they come: drawing 86 million takes a second."""
    for name in ('kaiming_uniform_', 'kaiming_normal_', 'xavier_uniform_', 'uniform_'):
        monkeypatch.setattr(torch.nn.init, name, lambda tensor, *_, **__: tensor)


def build(cfg):
    scope = cfg.get('default_scope', 'mmpretrain')
    init_default_scope(scope)
    # Registers the modules of the scope.
    importlib.import_module(f'{scope}.models')
    registry = importlib.import_module(f'{scope}.registry').MODELS
    return registry.build(cfg.model)


@pytest.mark.parametrize('name', ALL)
@pytest.mark.slow
def test_parses_and_builds(name, quick_init):
    cfg = load(name)
    model = build(cfg)
    regions = cfg.get('quantization', {}).get('regions', [])
    for region in regions:
        assert model.get_submodule(region) is not None


@pytest.mark.parametrize('name', PRESETS)
@pytest.mark.slow
def test_has_all_that_quantization_reads(name):
    cfg = load(name)
    quantization = cfg.quantization
    assert quantization.regions
    for region in quantization.regions:
        if name.startswith('detectors/'):  # whose encoders no config builds
            assert region_holder(cfg.model, f'{region}.part', None)
        else:
            assert region_scopes(cfg.model, region, None)
    assert {'bits', 'observer', 'rounding'} <= set(quantization.weight)
    assert {'bits', 'observer'} <= set(quantization.activation)
    assert {'bits', 'observer'} <= set(quantization.wide)
    assert quantization.wide.bits == 16
    assert quantization.criterion.type == 'output_error'
    assert quantization.calibration.num_images > 0
    assert set(cfg.candidates) == {'gelu', 'softmax', 'layer_norm'}
    assert cfg.custom_imports.imports == ['iptq_mm']


@pytest.mark.parametrize('name', [n for n in PRESETS if '_qat-' in n])
def test_presets_that_train_say_how(name):
    read = read_training(load(name), name)
    assert read.optim_wrapper['constructor'] == 'iptq_mm.RelativeLearningRates'
    assert read.train_cfg['max_epochs'] >= 1


@pytest.mark.parametrize('name', WHOLE)
@pytest.mark.slow
def test_whole_detectors(name, quick_init):
    """All but what has no layers: and nothing else changes."""
    cfg, model = load(name), build(load(name))
    regions = expanded(model, cfg.quantization.regions)
    inside = {id(p) for r in regions for p in model.get_submodule(r).parameters()}
    assert {id(p) for p in model.parameters()} == inside
    parts = load(name.replace('_whole-', '_'))
    assert parts.quantization.regions == ['backbone']
    cfg.quantization.regions = parts.quantization.regions
    assert cfg.quantization == parts.quantization
    assert cfg.candidates == parts.candidates


@pytest.mark.parametrize(
    ('name', 'bits'), [('w8a8', (8, 8)), ('w6a6', (6, 6)), ('w4a8', (4, 8))]
)
def test_names_of_bases_tell_the_bits(name, bits):
    for base in (f'quantization/{name}', f'papers/iptq_{name}', f'papers/mixed_{name}'):
        found = load(f'_base_/{base}.py').quantization
        assert (found.weight.bits, found.activation.bits) == bits


@pytest.mark.parametrize('name', PRESETS)
@pytest.mark.slow
def test_names_of_presets_say_what_they_run(name):
    settings = read_settings(load(name))
    assert bits_in(name) == (settings.weight.bits, settings.activation.bits)
    assert ('_whole-' in name) == ('rpn_head' in settings.regions)
    assert ('literal-' in name) == all(
        function.get('literal')
        for kind, functions in settings.candidates.items()
        for function in functions.values()
        if kind != 'unary'  # which no model of these has
    )


@pytest.mark.parametrize('name', OLD)
@pytest.mark.slow
def test_old_names_lead_to_new_ones(name):
    with pytest.warns(DeprecationWarning, match='Please use') as told:
        cfg = Config.fromfile(CONFIGS / name)
    new = cfg_named_by(told)
    assert new in ALL and load(new)._cfg_dict == cfg._cfg_dict


def test_only_papers_and_old_names_are_called_by_papers():
    named = [name for name in EVERY if re.search('iptq|mixed', Path(name).name)]
    assert set(named) == {n for n in EVERY if re.search('_(iptq|mixed)-', n)}
    assert set(named) <= {*PAPERS, *OLD}
    assert not set(PAPERS) & set(OLD)


def bits_in(name):
    found = re.search(r'[_-]w(\d)a(\d)[_-]', name.replace('.py', '_'))
    return tuple(map(int, found.groups()))


def cfg_named_by(warnings):
    (message,) = {str(w.message) for w in warnings if 'Please use' in str(w.message)}
    return re.search('Please use configs/(\\S+) ', message)[1]


def test_presets_differ_in_what_bits_ask_for_only():
    presets = {
        name: load(f'_base_/quantization/{name}.py').quantization.to_dict()
        for name in ('w8a8', 'w6a6', 'w4a8', 'w4a6', 'w4a4', 'w3a8')
    }
    for preset in presets.values():
        assert preset['weight'].pop('rounding') == {'type': 'second_order'}
        assert preset['weight'].pop('bias_correction')
        for key in ('weight', 'activation', 'calibration'):
            del preset[key]
    for name in ('w4a8', 'w4a6', 'w3a8'):
        # Of outliers alone.
        found = presets[name]['equalization']
        assert {one.pop('beyond') for one in found} == {8.0}
        assert not found[0].pop('shift')
    assert all(preset == presets['w8a8'] for preset in presets.values())


@pytest.mark.parametrize(
    ('name', 'bits'), [('w4a6', (4, 6)), ('w4a4', (4, 4)), ('w3a8', (3, 8))]
)
def test_presets_of_few_bits_have_them(name, bits):
    found = load(f'_base_/quantization/{name}.py').quantization
    assert (found.weight.bits, found.activation.bits) == bits
    assert not read_settings(load(f'deit/deit-tiny_{name}_in1k-sample.py')).unusual()


def test_search_space_of_the_paper():
    """IPTQ-ViT counts 159 evaluations for ViT-B: 12 blocks and a last norm."""
    candidates = load('_base_/candidates/iptq.py').candidates
    sites = {'softmax': 12, 'gelu': 12, 'layer_norm': 25}
    assert sum(len(candidates[kind]) * n for kind, n in sites.items()) == 159


def test_candidate_presets_nest():
    def types(name):
        preset = load(f'_base_/candidates/{name}.py').candidates
        return {item.type for items in preset.values() for item in items}

    assert types('mixed') < types('iptq') < types('tables')
    for path in (CONFIGS / '_base_/candidates').glob('single_*.py'):
        preset = load(path.relative_to(CONFIGS)).candidates
        assert [len(items) for items in preset.values()] == [1, 1, 1]
        assert types(path.stem) <= types('tables')


def test_metafiles_name_files_that_exist():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
    found = sorted(str(path.relative_to(ROOT)) for path in CONFIGS.glob('**/*.yml'))
    assert index == found
    for name in index:
        content = yaml.safe_load((ROOT / name).read_text())
        collections = {item['Name'] for item in content['Collections']}
        for model in content['Models']:
            path = ROOT / model['Config']
            assert path.is_file() and path.stem == model['Name']
            assert model['In Collection'] in collections


class TestSample:
    pytestmark = needs_data

    def test_weights_load_strictly(self):
        cfg = load('deit/deit-tiny_in1k-sample.py')
        model = build(cfg)
        checkpoint = torch.load(cfg.load_from, weights_only=True)
        model.load_state_dict(checkpoint['state_dict'], strict=True)

    def test_crop_is_one_pixel_from_the_corner(self):
        from mmpretrain.registry import DATASETS

        cfg = load('deit/deit-tiny_in1k-sample.py')
        build(cfg)
        dataset = DATASETS.build(cfg.val_dataloader.dataset)
        assert len(dataset) == 650
        stored = self._read(dataset.get_data_info(0)['img_path'])
        assert stored.shape == (227, 227, 3)
        crop = dataset[0]['inputs'].permute(1, 2, 0).numpy()
        assert (crop == stored[1:225, 1:225]).all()

    def test_calibration_images_are_others(self):
        from mmpretrain.registry import DATASETS

        cfg = load('deit/deit-tiny_w8a8_in1k-sample.py')
        build(cfg)
        dataset = DATASETS.build(cfg.quantization.calibration.dataloader.dataset)
        assert len(dataset) == 500
        assert dataset[0]['inputs'].shape == (3, 224, 224)
        folders = {
            Path(item.dataset.data_root, item.dataset.data_prefix)
            for item in (cfg.train_dataloader, cfg.val_dataloader)
        }
        assert len(folders) == 2

    @pytest.mark.slow
    def test_detection_sample(self):
        from mmdet.registry import DATASETS

        cfg = load('cascade_mask_rcnn/cascade-mask-rcnn_swin-t_w8a8_coco-sample.py')
        init_default_scope('mmdet')
        importlib.import_module('mmdet.datasets')
        dataset = DATASETS.build(cfg.val_dataloader.dataset)
        assert len(dataset) == 10
        item = dataset[0]
        assert max(item['inputs'].shape[1:]) <= 1333
        assert min(item['inputs'].shape[1:]) <= 800
        assert item['data_samples'].instances
        calibration = DATASETS.build(cfg.train_dataloader.dataset)
        assert len(calibration) >= cfg.quantization.calibration.num_images

    @pytest.mark.slow
    def test_float_accuracy(self, tmp_path):
        """521 of the 650 images: preprocessing and weights fit each other."""
        from mmengine.runner import Runner

        cfg = load('deit/deit-tiny_w8a8_in1k-sample.py')
        cfg.update(work_dir=str(tmp_path), log_level='WARNING')
        metrics = Runner.from_cfg(cfg).test()
        assert metrics['accuracy/top1'] == pytest.approx(100 * 521 / 650, abs=1e-3)

    @staticmethod
    def _read(path):
        import mmcv

        return mmcv.imread(path)
