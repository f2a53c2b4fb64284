"""The config that is written beside the integers."""

import pytest
import tiny_runs
import torch
from mmengine.config import Config
from mmengine.hooks import EMAHook

from iptq_mm.calibration import ConfigError
from iptq_mm.engine import QuantizationHook, export_config
from iptq_mm.engine.export.checkpoint import (
    save_quantized,
    usual_hooks,
    write_config,
)
from iptq_mm.engine.loading.scopes import region_scopes, type_name
from iptq_mm.engine.run.pipeline import quantize_and_compare


@pytest.fixture
def cfg():
    return Config(
        dict(
            default_scope='mmdet',
            model=dict(
                type='CascadeRCNN',
                backbone=dict(type='SwinTransformer', depths=[2, 2]),
                neck=dict(type='mmdet.FPN', init_cfg=dict(type='Pretrained')),
                roi_head=dict(
                    type='CascadeRoIHead',
                    bbox_head=[dict(type='BBoxHead', fc=1), dict(type='BBoxHead')],
                ),
                test_cfg=dict(rcnn=dict(max_per_img=10)),
            ),
            quantization=dict(regions=[]),
            candidates=dict(),
            launcher='pytorch',
            work_dir='somewhere',
            resume=True,
        )
    )


def test_regions_are_replaced_and_nothing_else(cfg):
    regions = ['backbone', 'neck', 'roi_head.bbox_head.1']
    written = export_config(cfg, regions, 'integer.pth')
    assert cfg.model.backbone.type == 'SwinTransformer'
    quantized = 'iptq_mm.build_quantized'
    assert written.model.backbone == dict(
        type=quantized, float_type='mmdet.SwinTransformer', depths=[2, 2]
    )
    assert written.model.neck == dict(
        type=quantized, float_type='mmdet.FPN', init_cfg=None
    )
    first, second = written.model.roi_head.bbox_head
    assert first == dict(type='BBoxHead', fc=1)
    assert second == dict(type=quantized, float_type='mmdet.BBoxHead')
    assert set(written) == {
        'default_scope',
        'model',
        'custom_hooks',
        'test_cfg',
        'custom_imports',
        'load_from',
        'resume',
    }
    assert written.resume is False


def test_load_from_follows_the_file(cfg, tmp_path):
    write_config(export_config(cfg, ['backbone'], 'integer.pth'), tmp_path / 'a.py')
    assert Config.fromfile(tmp_path / 'a.py').load_from == str(tmp_path / 'integer.pth')


@pytest.mark.parametrize('imports', [None, 'a', ['a'], ['a', 'iptq_mm']])
def test_imports_are_kept(cfg, imports):
    if imports:
        cfg.custom_imports = dict(imports=imports, allow_failed_imports=True)
    found = export_config(cfg, ['backbone'], 'x.pth').custom_imports
    assert found.allow_failed_imports is bool(imports)
    # First, unless the user has another order.
    order = imports if imports == ['a', 'iptq_mm'] else ['iptq_mm', 'a']
    assert found.imports == (order if imports else ['iptq_mm'])


@pytest.mark.parametrize('test_cfg', [None, dict(type='iptq_mm.ComparingLoop')])
def test_usual_test_loop(cfg, test_cfg):
    cfg.test_cfg = test_cfg
    assert export_config(cfg, ['backbone'], 'x.pth').test_cfg == dict(type='TestLoop')


def test_hooks_by_any_name():
    keep = [dict(type='SyncBuffersHook'), object()]
    hooks = [
        dict(type='QuantizationHook'),
        dict(type='iptq_mm.QuantizationHook'),
        dict(type=QuantizationHook),
        dict(type='mmengine.EMAHook'),
        dict(type=EMAHook),
    ]
    assert usual_hooks({'custom_hooks': [*hooks, *keep]}) == keep
    assert usual_hooks({'custom_hooks': None}) == usual_hooks({}) == []


def test_classes_as_types():
    assert type_name(torch.nn.Linear) == 'torch.nn.modules.linear.Linear'
    assert type_name('mmdet.FPN') == 'mmdet.FPN'


@pytest.mark.parametrize(
    'region',
    ['', 'nothing', 'test_cfg', 'type', 'backbone.0']
    + ['roi_head.bbox_head.2', 'roi_head.bbox_head.0.fc'],
)
def test_regions_that_the_config_does_not_build(cfg, region):
    with pytest.raises(ConfigError, match=r"one of \['backbone', 'neck', 'roi_head'\]"):
        region_scopes(cfg.model, region, None)


def test_a_list_is_all_of_its_members(cfg):
    heads = cfg.model.roi_head.bbox_head
    found = region_scopes(cfg.model, 'roi_head.bbox_head', None)
    assert [node for node, _ in found] == list(heads)
    ((node, _),) = region_scopes(cfg.model, 'roi_head.bbox_head.1', None)
    assert node == heads[1]
    written = export_config(cfg, ['roi_head.bbox_head'], 'x.pth').model.roi_head
    assert {head.type for head in written.bbox_head} == {'iptq_mm.build_quantized'}
    cfg.model.roi_head.bbox_head = []
    with pytest.raises(ConfigError, match='is not built by the config'):
        region_scopes(cfg.model, 'roi_head.bbox_head', None)


def test_a_region_named_twice(cfg):
    regions = ['backbone', 'backbone', 'roi_head.bbox_head', 'roi_head.bbox_head.1']
    written = export_config(cfg, regions, 'x.pth').model
    assert written.backbone.float_type == 'mmdet.SwinTransformer'
    assert written.roi_head.bbox_head[1].float_type == 'mmdet.BBoxHead'


def test_a_part_in_two_places(cfg):
    """A variable of the config that stands for two parts of which one is a region."""
    cfg.model.teacher = cfg.model.backbone
    written = export_config(cfg, ['backbone'], 'x.pth').model
    assert written.teacher == dict(type='SwinTransformer', depths=[2, 2])


def test_scopes_are_those_of_the_parts(cfg):
    cfg.model.backbone._scope_ = 'mmpretrain'
    written = export_config(cfg, ['backbone', 'neck'], 'x.pth').model
    assert written.backbone.float_type == 'mmpretrain.SwinTransformer'
    assert written.neck.float_type == 'mmdet.FPN'


def test_nothing_is_fetched_for_a_region(cfg):
    """However deep: modules that load weights when they are built."""
    pretrained = dict(type='Pretrained', checkpoint='http://invalid/x.pth')
    cfg.model.backbone.module = dict(type='X', init_cfg=pretrained)
    cfg.model.neck.parts = [dict(init_cfg=[pretrained, dict(type='Xavier')])]
    written = export_config(cfg, ['backbone', 'neck'], 'x.pth').model
    assert written.backbone.module.init_cfg is None
    assert written.neck.parts[0].init_cfg == [dict(type='Xavier')]
    assert cfg.model.backbone.module.init_cfg == pretrained


def test_meta_is_plain(tmp_path):
    import numpy as np

    meta = dict(classes=('a', 'b'), palette=[(1, 2)], array=np.arange(2), other={1})
    save_quantized(torch.nn.Linear(1, 1), tmp_path / 'x.pth', {**meta, 'none': None})
    saved = torch.load(tmp_path / 'x.pth', weights_only=True)['meta']['dataset_meta']
    assert saved == dict(
        classes=['a', 'b'], palette=[[1, 2]], array=[0, 1], other=[1], none=None
    )


PURE_PYTHON = """
from mmengine.dataset import DefaultSampler
from mmengine.hooks import EMAHook
from mmpretrain.datasets import CustomDataset, LoadImageFromFile, PackInputs
from mmpretrain.evaluation import Accuracy
from mmpretrain.models import ImageClassifier, SwinTransformer

{rest}
pipeline = [dict(type=LoadImageFromFile), dict(type=PackInputs)]
model.update(type=ImageClassifier)
model['backbone'].update(type=SwinTransformer)
for loader in (train_dataloader, val_dataloader, test_dataloader):
    loader['dataset'].update(type=CustomDataset, pipeline=pipeline)
    loader['sampler'].update(type=DefaultSampler)
test_evaluator.update(type=Accuracy)
custom_hooks = [dict(type=EMAHook)]
del loader
"""


def test_config_in_pure_python(swin_run, tmp_path, one_thread):
    """Types are classes there, not names."""
    rest = Config.fromfile(swin_run.config).pretty_text
    (tmp_path / 'cfg.py').write_text(PURE_PYTHON.format(rest=rest))
    results = quantize_and_compare(tmp_path / 'cfg.py', work_dir=str(tmp_path))
    assert results['output_sqnr_db'] == swin_run.results['output_sqnr_db']
    exported = Config.fromfile(tmp_path / 'integer.py')
    kind = 'mmpretrain.models.backbones.swin_transformer.SwinTransformer'
    assert exported.model.backbone.float_type == kind
    assert exported.custom_hooks == []
    metrics, _ = tiny_runs.run_test(tmp_path / 'integer.py', tmp_path / 'again')
    assert {k: round(v, 6) for k, v in metrics.items()} == results['integer']
