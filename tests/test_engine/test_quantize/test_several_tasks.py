"""mmpretrain's MultiTaskHead as a region: its heads, one by one."""

import json

import pytest
import tiny_models
import torch
from mmengine.config import Config
from tiny_runs import CLASSES

from iptq_mm.calibration import ConfigError, expanded
from iptq_mm.engine.loading.models import load_quantized, new_model
from iptq_mm.engine.loading.scopes import region_scopes
from iptq_mm.engine.run.pipeline import quantize_and_compare
from iptq_mm.modes import regions_in

pytestmark = pytest.mark.usefixtures('one_thread')

HEADS = dict(
    shape=dict(type='LinearClsHead', num_classes=3),
    side=dict(
        type='MultiTaskHead',
        task_heads=dict(left=dict(type='LinearClsHead', num_classes=2)),
    ),
)


@pytest.fixture
def cfg(tiny_data, tmp_path):
    """A ViT that answers two questions of an image, one in a head within a head."""
    cfg = tiny_models.vit(tiny_data / 'classification')
    cfg.model.head = dict(type='MultiTaskHead', in_channels=128, task_heads=HEADS)
    cfg.data_preprocessor.pop('num_classes')
    metric = [dict(type='Accuracy', topk=(1,))]
    cfg.test_evaluator = dict(
        type='MultiTasksMetric',
        task_metrics=dict(
            shape=metric,
            side=[dict(type='MultiTasksMetric', task_metrics=dict(left=metric))],
        ),
    )
    for split, key in (('train', 'train'), ('val', 'test')):
        rows = [
            dict(
                img_path=f'{split}/{name}/{n}.png',
                gt_label=dict(shape=i, side=dict(left=int(i == 0))),
            )
            for i, name in enumerate(CLASSES)
            for n in range(2)
        ]
        notes = dict(metainfo=dict(tasks=['shape', 'side']), data_list=rows)
        (tmp_path / f'{split}.json').write_text(json.dumps(notes))
        cfg[f'{key}_dataloader'].dataset = dict(
            type='MultiTaskDataset',
            ann_file=str(tmp_path / f'{split}.json'),
            data_root=str(tiny_data / 'classification'),
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(
                    type='PackMultiTaskInputs',
                    multi_task_fields=['gt_label'],
                    task_handlers=dict(
                        side=dict(
                            type='PackMultiTaskInputs', multi_task_fields=['gt_label']
                        )
                    ),
                ),
            ],
        )
    return cfg


NAMES = ['backbone', 'head.task_heads.shape', 'head.task_heads.side.task_heads.left']


@pytest.mark.parametrize('head', ['head', 'head.task_heads'])
@pytest.mark.slow
def test_whole_run(cfg, tmp_path, head):
    cfg.quantization.regions = ['backbone', head]
    config, _ = tiny_models.write(cfg, tmp_path, 'tasks')
    results = quantize_and_compare(config, work_dir=str(tmp_path / 'run'))
    assert results['output_sqnr_db'].keys() == {f'{name}:0' for name in NAMES}
    assert min(results['output_sqnr_db'].values()) > 15
    model = load_quantized(tmp_path / 'run' / 'integer.py')[1]
    assert list(regions_in(model)) == NAMES
    state = torch.load(tmp_path / 'run' / 'integer.pth', weights_only=True)
    assert state['state_dict']['head.task_heads.shape.fc.weight'].dtype == torch.int8


def test_names(cfg):
    model = new_model(cfg)
    assert expanded(model, ['backbone', 'head']) == NAMES
    types = [node['type'] for node, _ in region_scopes(cfg.model, 'head', None)]
    assert types == ['LinearClsHead', 'LinearClsHead']
    ((node, _),) = region_scopes(cfg.model, 'head.task_heads.shape', None)
    assert node.num_classes == 3
    with pytest.raises(ConfigError, match="region 'head.task_heads.form' is not built"):
        region_scopes(cfg.model, 'head.task_heads.form', None)


def test_an_empty_dict_is_no_region():
    model = Config(dict(model=dict(head=dict(task_heads=dict())))).model
    with pytest.raises(ConfigError, match="region 'head' is not built"):
        region_scopes(model, 'head', None)
