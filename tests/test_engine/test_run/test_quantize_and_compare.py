"""A whole quantization of each kind of model, from config to files."""

import json

import pytest
import tiny_models
import tiny_runs
import torch
from mmdet.models import BBoxHead
from mmdet.registry import MODELS
from mmengine.config import Config

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.run.pipeline import quantize_and_compare
from iptq_mm.plan import load_plan

pytestmark = pytest.mark.usefixtures('one_thread')


def test_files(run):
    names = {p.name for p in run.folder.iterdir()}
    assert {'plan.json', 'integer.pth', 'integer.py', 'results.json'} <= names
    assert list(run.folder.rglob('*.log'))
    assert not [p for p in run.folder.rglob('*') if p.name.startswith('.')]
    written = json.loads((run.folder / 'results.json').read_text())
    assert written == run.results


def test_results(run):
    results = run.results
    regions = Config.fromfile(run.config).quantization.regions
    assert results['float'].keys() == results['integer'].keys() != set()
    assert {key.partition(':')[0] for key in results['output_sqnr_db']} == set(regions)
    assert all(value > 10 for value in results['output_sqnr_db'].values())
    phases = {'observe', 'analyse', 'assign', 'freeze', 'check'}
    assert results['seconds'].keys() == phases | {'float', 'integer'}
    assert 'reconstruction' not in results
    assert results['seed'] == 7
    assert {'iptq_mm', 'torch', 'mmengine', 'mmcv'} <= set(results['versions'])
    assert all(0 < share < 1 for share in results['saturation'].values())
    saturated, total = results['saturated_values']
    assert 0 < saturated < total
    plans = load_plan(run.folder / 'plan.json')
    assert results['assignment'] == {
        f'{region}:{site}': p.function['type']
        for region, plan in plans.items()
        for site, p in plan.sites.items()
        if p.function
    }
    kinds = {site.rpartition('/')[2] for site in results['assignment']}
    assert kinds == {'gelu:0', 'softmax:0', 'layer_norm:0'}


def test_agreement_is_of_classifiers(vit_run, swin_run, detector_run):
    assert 0 <= vit_run.results['agreement'] <= 1
    assert 0 <= swin_run.results['agreement'] <= 1
    assert 'agreement' not in detector_run.results


def test_every_region_output_is_compared(detector_run, vit_run):
    assert len(detector_run.results['output_sqnr_db']) == 4
    assert set(vit_run.results['output_sqnr_db']) == {'backbone:0', 'head:0'}


def test_repeats_to_the_bit(vit_run, tmp_path):
    results = quantize_and_compare(vit_run.config, work_dir=str(tmp_path))
    for name in ('plan.json', 'integer.py'):
        assert (tmp_path / name).read_text() == (vit_run.folder / name).read_text()
    a, b = (
        torch.load(folder / 'integer.pth', weights_only=True)
        for folder in (tmp_path, vit_run.folder)
    )
    assert tiny_runs.same(a, b)
    assert {**results, 'seconds': 0} == {**vit_run.results, 'seconds': 0}


def test_progress_is_shown(vit_run):
    log = ''.join(p.read_text() for p in vit_run.folder.rglob('*.log'))
    for phase in ('observe: batch 3/3', 'analyse: batch 2/2', 'Epoch(test) [2/2]'):
        assert phase in log
    assert 'functions chosen' in log and 'sites with saturated values' in log


def test_seed_of_the_config_is_used_and_0_if_there_is_none(
    vit_run, tiny_data, tmp_path
):
    cfg = Config.fromfile(vit_run.config)
    cfg.pop('randomness')
    cfg.dump(tmp_path / 'unseeded.py')
    options = {'quantization.calibration.num_images': 2}
    results = quantize_and_compare(
        tmp_path / 'unseeded.py', work_dir=str(tmp_path), cfg_options=options
    )
    assert results['seed'] == 0


@pytest.mark.slow
def test_random_weights_fetch_nothing(tiny_data, tmp_path):
    cfg = tiny_models.swin(tiny_data / 'classification')
    cfg.model.backbone.init_cfg = [
        dict(type='TruncNormal', layer='Linear', std=0.02),
        dict(type='Pretrained', checkpoint='http://invalid/x.pth'),
    ]
    cfg.model.init_cfg = dict(type='Pretrained', checkpoint='missing.pth')
    cfg.random_weights = True
    cfg.dump(tmp_path / 'cfg.py')
    results = quantize_and_compare(tmp_path / 'cfg.py', work_dir=str(tmp_path))
    assert results['integer']
    exported = Config.fromfile(tmp_path / 'integer.py')
    assert 'random_weights' not in exported


def test_hooks_that_write_weights_are_left_out(vit_run, tmp_path):
    """EMAHook would overwrite integers; the config's own hook would come twice."""
    cfg = Config.fromfile(vit_run.config)
    cfg.custom_hooks = [
        dict(type='EMAHook', momentum=1e-4),
        dict(type='iptq_mm.QuantizationHook'),
        dict(type='EmptyCacheHook'),
    ]
    cfg.resume = True
    cfg.dump(tmp_path / 'cfg.py')
    results = quantize_and_compare(tmp_path / 'cfg.py', work_dir=str(tmp_path))
    assert results['integer'] == vit_run.results['integer']
    assert results['output_sqnr_db'] == vit_run.results['output_sqnr_db']
    exported = Config.fromfile(tmp_path / 'integer.py')
    assert [hook.type for hook in exported.custom_hooks] == ['EmptyCacheHook']
    assert exported.resume is False


def test_half_loaded_checkpoint_is_refused(vit_run, tmp_path, caplog):
    checkpoint = torch.load(vit_run.checkpoint, weights_only=True)
    del checkpoint['state_dict']['backbone.layers.1.ffn.layers.1.weight']
    del checkpoint['state_dict']['backbone.layers.1.ffn.layers.1.bias']
    torch.save(checkpoint, tmp_path / 'half.pth')
    with pytest.raises(ConfigError, match=r'no values for 2 tensors.*backbone\.layers'):
        quantize_and_compare(
            vit_run.config, str(tmp_path / 'half.pth'), work_dir=str(tmp_path)
        )
    checkpoint = torch.load(vit_run.checkpoint, weights_only=True)
    wrong = checkpoint['state_dict']['backbone.layers.0.ln1.weight']
    checkpoint['state_dict']['backbone.layers.0.ln1.weight'] = wrong[:5]
    torch.save(checkpoint, tmp_path / 'half.pth')
    with pytest.raises(ConfigError, match=r'ln1.weight. is \(5,\) in the checkpoint'):
        quantize_and_compare(
            vit_run.config, str(tmp_path / 'half.pth'), work_dir=str(tmp_path)
        )
    assert not (tmp_path / 'plan.json').exists()


def test_tensors_outside_the_regions_may_be_missing(vit_run, tmp_path):
    """As with mm's own tools, which warn."""
    checkpoint = torch.load(vit_run.checkpoint, weights_only=True)
    del checkpoint['state_dict']['head.layers.head.weight']
    torch.save(checkpoint, tmp_path / 'headless.pth')
    results = quantize_and_compare(
        vit_run.config,
        str(tmp_path / 'headless.pth'),
        work_dir=str(tmp_path),
        cfg_options={'quantization.regions': 'backbone'},
    )
    assert set(results['output_sqnr_db']) == {'backbone:0'}


def test_metrics_of_any_form(vit_run, tmp_path):
    """Lists (per class), tensors, several evaluators."""
    cfg = Config.fromfile(vit_run.config)
    cfg.test_evaluator = [
        dict(type='Accuracy', topk=(1, 2)),
        dict(type='SingleLabelMetric', average=None),
        dict(type='ConfusionMatrix'),
    ]
    cfg.dump(tmp_path / 'cfg.py')
    results = quantize_and_compare(tmp_path / 'cfg.py', work_dir=str(tmp_path))
    written = json.loads((tmp_path / 'results.json').read_text())
    assert written == results
    assert len(results['integer']['single-label/f1-score_classwise']) == 3
    assert len(results['integer']['confusion_matrix/result']) == 3
    assert 'accuracy/top2' in results['float']


def test_wrapped_and_tta_configs(vit_run, tmp_path):
    cfg = Config.fromfile(vit_run.config)
    train, test = cfg.train_dataloader.dataset, cfg.test_dataloader.dataset
    cfg.train_dataloader.dataset = dict(
        type='RepeatDataset',
        times=2,
        dataset=dict(type='ConcatDataset', datasets=[train]),
    )
    cfg.test_dataloader.dataset = dict(type='ConcatDataset', datasets=[test, test])
    cfg.test_cfg = dict(fp16=True)
    cfg.tta_model = dict(type='AverageClsScoreTTA')
    cfg.dump(tmp_path / 'cfg.py')
    results = quantize_and_compare(tmp_path / 'cfg.py', work_dir=str(tmp_path))
    assert results['output_sqnr_db'] == pytest.approx(vit_run.results['output_sqnr_db'])
    exported = Config.fromfile(tmp_path / 'integer.py')
    assert exported.test_cfg == dict(fp16=True, type='TestLoop')
    meta = torch.load(tmp_path / 'integer.pth', weights_only=True)['meta']
    assert list(meta['dataset_meta']['classes']) == list(tiny_runs.CLASSES)


def test_visualization_hook_gets_the_integer_predictions(detector_run, tmp_path):
    cfg = Config.fromfile(detector_run.config)
    cfg.default_hooks.visualization = dict(
        type='DetVisualizationHook', draw=True, test_out_dir='shown'
    )
    # mmengine's hook takes the visualizer that was made last, by whatever test.
    cfg.visualizer = dict(type='DetLocalVisualizer', name='its own')
    cfg.dump(tmp_path / 'cfg.py')
    quantize_and_compare(tmp_path / 'cfg.py', work_dir=str(tmp_path))
    assert len(list(tmp_path.rglob('shown/*.png'))) == 3


def test_annotations_from_the_samples(detector_run, tmp_path):
    cfg = Config.fromfile(detector_run.config)
    cfg.test_evaluator.ann_file = None
    keys = ['img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'instances']
    cfg.test_dataloader.dataset.pipeline[-1].meta_keys = keys
    cfg.dump(tmp_path / 'cfg.py')
    results = quantize_and_compare(tmp_path / 'cfg.py', work_dir=str(tmp_path))
    assert results['integer'] == detector_run.results['integer']


@MODELS.register_module()
class FlatBBoxHead(BBoxHead):
    """A second-stage head that needs linear layers alone."""

    def forward(self, x):
        x = x.flatten(1)
        return self.fc_cls(x), self.fc_reg(x)


@pytest.mark.slow
def test_second_stage_head_as_region(tiny_data, tmp_path):
    """It sees the proposals of its own model: its outputs are not compared."""
    cfg = tiny_models.mask_rcnn(tiny_data / 'detection')
    cfg.model.roi_head.bbox_head = dict(
        type='FlatBBoxHead', in_channels=16, roi_feat_size=7, num_classes=2
    )
    cfg.quantization.regions = ['backbone', 'roi_head.bbox_head']
    config, _ = tiny_models.write(cfg, tmp_path, 'cfg')
    results = quantize_and_compare(config, work_dir=str(tmp_path / 'run'))
    assert {key[:8] for key in results['output_sqnr_db']} == {'backbone'}
    assert load_plan(tmp_path / 'run/plan.json')['roi_head.bbox_head'].sites
    written = tmp_path / 'run/integer.py'
    exported = Config.fromfile(written)
    assert exported.model.roi_head.bbox_head.type == 'iptq_mm.build_quantized'
    metrics, _ = tiny_runs.run_test(written, tmp_path / 'again')
    assert {k: round(v, 6) for k, v in metrics.items()} == results['integer']
