"""QuantizationHook under test-time augmentation, as mm's tools/test.py --tta has it."""

import pytest
import tiny_models
import torch
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from iptq_mm.engine.loading.models import new_model
from iptq_mm.engine.quantize.augmentation import Views, inside
from iptq_mm.modes import Integer, regions_in

pytestmark = pytest.mark.usefixtures('one_thread')

FLIPS = [dict(type='RandomFlip', prob=1.0), dict(type='RandomFlip', prob=0.0)]


def augmented(cfg, wrapper, folder):
    """The config as tools/test.py --tta changes it."""
    pipeline = cfg.test_dataloader.dataset.pipeline
    pack = pipeline[-1]
    if wrapper['type'] == 'DetTTAModel':
        pack = dict(pack, meta_keys=(*pack['meta_keys'], 'flip', 'flip_direction'))
    views = dict(type='TestTimeAug', transforms=[FLIPS, [pack]])
    cfg.test_dataloader.dataset.pipeline = [*pipeline[:-1], views]
    cfg.model = ConfigDict(**wrapper, module=cfg.model)
    cfg.custom_hooks = [dict(type='iptq_mm.QuantizationHook')]
    cfg.work_dir, cfg.launcher = str(folder), 'none'
    cfg.experiment_name = folder.name
    return cfg


@pytest.mark.parametrize('regions', [['backbone', 'head'], ['module.backbone']])
def test_classifier(vit_run, tmp_path, regions):
    cfg = Config.fromfile(vit_run.config)
    cfg.quantization.regions = regions
    cfg = augmented(cfg, dict(type='mmpretrain.AverageClsScoreTTA'), tmp_path)
    runner = Runner.from_cfg(cfg)
    assert 'accuracy/top1' in runner.test()
    found = regions_in(runner.model)
    assert list(found) == [name.removeprefix('module.') for name in regions]
    assert all(isinstance(region.mode, Integer) for region in found.values())
    # Four images in both views.
    (hook,) = [h for h in runner.hooks if type(h).__name__ == 'QuantizationHook']
    errors = hook.result.records['backbone'].candidates[
        'layers.0.ffn.layers.0.1/gelu:0'
    ]
    assert next(iter(errors.values())).images == 8
    assert (tmp_path / 'plan.json').exists()


def test_views_are_what_the_model_inside_gets(vit_run, tmp_path):
    """Ranges are those of a calibration set with flipped and plain images."""
    cfg = Config.fromfile(vit_run.config)
    cfg = augmented(cfg, dict(type='mmpretrain.AverageClsScoreTTA'), tmp_path)
    runner = Runner.from_cfg(cfg)
    seen = []
    model = inside(runner.model)
    assert model is runner.model.module is inside(model)
    original = model.test_step
    model.test_step = lambda data: (seen.append(data['inputs']), original(data))[1]
    runner.test()
    batches = [x if isinstance(x, torch.Tensor) else torch.stack(list(x)) for x in seen]
    # Three batches of two images in both views, then the six test images.
    assert [len(x) for x in batches[:6]] == [2] * 6
    for flipped, plain in zip(batches[0:6:2], batches[1:6:2], strict=True):
        assert torch.equal(flipped, plain.flip(-1))


@pytest.mark.slow
def test_detector(tiny_data, tmp_path):
    cfg = tiny_models.mask_rcnn(tiny_data / 'detection')
    del cfg.model.roi_head['mask_head'], cfg.model.roi_head['mask_roi_extractor']
    cfg.test_evaluator.metric = 'bbox'
    for step in cfg.test_dataloader.dataset.pipeline:
        if step.type == 'LoadAnnotations':
            step.with_mask = False
    cfg.load_from = str(tmp_path / 'float.pth')
    torch.save({'state_dict': tiny_models.build(cfg).state_dict()}, cfg.load_from)
    options = dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100)
    cfg = augmented(cfg, dict(type='DetTTAModel', tta_cfg=options), tmp_path)
    runner = Runner.from_cfg(cfg)
    assert 'coco/bbox_mAP' in runner.test()
    assert list(regions_in(runner.model)) == ['backbone']


def test_plain_pipelines_have_one_view():
    dataset = [dict(inputs=torch.full((2,), n), data_samples=n) for n in range(4)]
    loader = DataLoader(dataset, batch_size=2)
    views = Views(loader)
    assert len(views) == 2
    assert [batch['data_samples'].tolist() for batch in views] == [[0, 1], [2, 3]]
    twice = [{k: [v, v] for k, v in item.items()} for item in dataset]
    views = Views(DataLoader(twice, batch_size=2))
    assert len(views) == len(list(views)) == len(list(views)) == 4
    assert torch.equal(next(iter(views))['inputs'], torch.tensor([[0, 0], [1, 1]]))


def test_wrappers_only(vit_run):
    model = new_model(Config.fromfile(vit_run.config))
    assert inside(model) is model
