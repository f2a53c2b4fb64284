"""A detector whose every part runs on integers: quantized, written, loaded, run."""

import copy
import logging
from types import SimpleNamespace

import pytest
import tiny_models
import tiny_runs
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.export.written import check_written
from iptq_mm.engine.run.pipeline import quantize_and_compare
from iptq_mm.modes import regions_in
from iptq_mm.native import library
from iptq_mm.plan import load_plan
from iptq_mm.program import use_backend
from iptq_mm.program.backends.replacement import Replacement

logging.getLogger('torch.__trace').propagate = False
WHOLE = ['backbone', 'neck', 'rpn_head', 'roi_head.bbox_head', 'roi_head.mask_head']
HEADS = [f'roi_head.{kind}_head.{i}' for kind in ('bbox', 'mask') for i in (0, 1)]

pytestmark = [pytest.mark.usefixtures('one_thread'), pytest.mark.slow]


def cascade(data):
    """A cascade of two stages whose box heads have batch norm."""
    cfg = tiny_models.mask_rcnn(data / 'detection')
    roi = cfg.model.roi_head
    box = dict(
        roi.bbox_head,
        type='Shared4Conv1FCBBoxHead',
        conv_out_channels=8,
        norm_cfg=dict(type='SyncBN'),
        reg_class_agnostic=True,
    )
    roi.update(
        type='CascadeRoIHead',
        num_stages=2,
        stage_loss_weights=[1, 0.5],
        bbox_head=[box, copy.deepcopy(box)],
    )
    cfg.model.train_cfg.rcnn = [cfg.model.train_cfg.rcnn] * 2
    cfg.model.test_cfg.rcnn.mask_thr_binary = 0.5
    cfg.quantization.regions = WHOLE
    return cfg


@pytest.fixture(scope='module')
def run(tiny_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp('whole')
    config, _ = tiny_models.write(cascade(tiny_data), folder, 'cfg')
    results = quantize_and_compare(config, work_dir=str(folder / 'run'))
    return SimpleNamespace(config=config, folder=folder / 'run', results=results)


@pytest.fixture(scope='module')
def loaded(run):
    cfg = Config.fromfile(run.folder / 'integer.py')
    cfg.work_dir = str(run.folder / 'loaded')
    runner = Runner.from_cfg(cfg)
    runner.load_or_resume()
    return runner.model.eval(), list(runner.test_dataloader)


def test_what_was_written_gives_back_the_model(run, loaded):
    model, batches = loaded
    check_written(run.folder / 'integer.py', model, batches[0])


def test_all_parts_are_integer(run):
    plans = load_plan(run.folder / 'plan.json')
    assert sorted(plans) == sorted(['backbone', 'neck', 'rpn_head', *HEADS])
    assert len(plans['roi_head.bbox_head.1'].norms) == 4
    compared = {key.partition(':')[0] for key in run.results['output_sqnr_db']}
    assert compared == {'backbone', 'neck', 'rpn_head'}
    assert min(run.results['output_sqnr_db'].values()) > 15
    state = torch.load(run.folder / 'integer.pth', weights_only=True)['state_dict']
    assert not any(value.is_floating_point() for value in state.values())


def test_the_written_config_builds_all_of_it(run, tmp_path):
    model = Config.fromfile(run.folder / 'integer.py').model
    roi = model.roi_head
    built = [model.backbone, model.neck, model.rpn_head, *roi.bbox_head, roi.mask_head]
    assert {part.type for part in built} == {'iptq_mm.build_quantized'}
    metrics, _ = tiny_runs.run_test(run.folder / 'integer.py', tmp_path)
    assert {k: round(v, 6) for k, v in metrics.items()} == run.results['integer']


@torch.no_grad()
@pytest.mark.parametrize('backend', ['reference', 'native'])
def test_programs_give_the_same_detections(loaded, backend):
    model, batches = loaded
    aligns = [m for m in model.modules() if type(m).__name__ == 'RoIAlign']

    def predictions():
        return [model.test_step(copy.deepcopy(b))[0].pred_instances for b in batches]

    expected = predictions()
    assert {len(p) for p in expected} != {0}
    use_backend(model, backend)
    quick = backend == 'native' and library.available()
    assert aligns and all(isinstance(m, Replacement) == quick for m in aligns)
    for found, wanted in zip(predictions(), expected, strict=True):
        for key in ('bboxes', 'scores', 'labels', 'masks'):
            assert torch.equal(found[key], wanted[key])
    regions = regions_in(model)
    assert sorted(regions) == sorted(['backbone', 'neck', 'rpn_head', *HEADS])
    for name, region in regions.items():
        by_rows = bool(region.session.any_rows)
        assert by_rows == name.startswith('roi_head'), name
    use_backend(model, None)
    assert not any(isinstance(m, Replacement) for m in model.modules())


def test_inferencers_load_it(run, loaded):
    from mmdet.apis import inference_detector, init_detector

    model, batches = loaded
    config, checkpoint = run.folder / 'integer.py', run.folder / 'integer.pth'
    detector = init_detector(str(config), str(checkpoint), device='cpu')
    assert sorted(regions_in(detector)) == sorted(regions_in(model))
    with torch.no_grad():
        expected = model.test_step(copy.deepcopy(batches[0]))[0]
    found = inference_detector(detector, expected.img_path).pred_instances
    assert torch.equal(found.scores, expected.pred_instances.scores)


def test_resuming_gives_the_same(run, tmp_path):
    (tmp_path / 'calibration.pth').write_bytes(
        (run.folder / 'calibration.pth').read_bytes()
    )
    results = quantize_and_compare(run.config, work_dir=str(tmp_path), resume=True)
    assert results['integer'] == run.results['integer']
    one, other = (
        torch.load(folder / 'integer.pth', weights_only=True)['state_dict']
        for folder in (run.folder, tmp_path)
    )
    assert all(torch.equal(one[k], v) for k, v in other.items())


def test_a_head_that_calibration_never_reaches(tiny_data, tmp_path):
    cfg = cascade(tiny_data)
    cfg.model.test_cfg.rcnn.score_thr = 1.0
    config, _ = tiny_models.write(cfg, tmp_path, 'cfg')
    message = r"region 'roi_head.mask_head.0' never ran .* lower score_thr"
    with pytest.raises(ConfigError, match=message):
        quantize_and_compare(config, work_dir=str(tmp_path / 'run'))


def test_one_stage_alone_where_the_config_has_one_dict(tiny_data, tmp_path):
    cfg = cascade(tiny_data)
    cfg.quantization.regions = ['backbone', 'roi_head.mask_head.0']
    config, _ = tiny_models.write(cfg, tmp_path, 'cfg')
    with pytest.raises(ConfigError, match=r"'roi_head.mask_head.0' is not built by"):
        quantize_and_compare(config, work_dir=str(tmp_path / 'run'))
