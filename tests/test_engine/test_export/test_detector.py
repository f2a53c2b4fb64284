"""Whole detectors in files: one stage with deltas for each class, and refusals."""

import json
from pathlib import Path

import numpy as np
import pytest
import scripts
import tiny_models
import torch
from mmengine.registry import init_default_scope
from runtime_checks.comparing import digest
from runtime_checks.detecting import (
    Differences,
    detected_in_node,
    detector_in_python,
    pictures,
    pixel_bytes,
)
from runtime_checks.targets import TARGETS

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.export.detector import detector_programs, export_detector
from iptq_mm.engine.export.detector.settings import detector_settings
from iptq_mm.engine.export.detector.written import class_names
from iptq_mm.engine.loading.example import example_batch
from iptq_mm.engine.loading.models import load_quantized
from iptq_mm.engine.run.pipeline import quantize_and_compare

pytestmark = [pytest.mark.usefixtures('one_thread'), pytest.mark.slow]

WHOLE = ['backbone', 'neck', 'rpn_head', 'roi_head.bbox_head', 'roi_head.mask_head']
SHAPE = (64, 96)
TOOL = Path(__file__).parents[3] / 'tools/export.py'


def mask_rcnn(data, pixels=True):
    """A Mask R-CNN with one stage, whose boxes depend on the class."""
    cfg = tiny_models.mask_rcnn(data / 'detection')
    cfg.model.test_cfg.rcnn.mask_thr_binary = 0.5
    cfg.quantization.update(regions=WHOLE, pixels=pixels)
    return cfg


@pytest.fixture(scope='module')
def run(tiny_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp('whole')
    config, _ = tiny_models.write(mask_rcnn(tiny_data), folder, 'cfg')
    quantize_and_compare(config, work_dir=str(folder / 'run'))
    return folder / 'run'


def test_one_stage(run, tmp_path):
    """Two classes have deltas of their own; node gives the bits of Python."""
    made = export_detector(run / 'integer.py', None, tmp_path, shape=SHAPE)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        'boxes_0.iptq',
        'detector.json',
        'masks_0.iptq',
        'trunk.iptq',
    ]
    settings = json.loads((tmp_path / 'detector.json').read_text())
    assert settings == json.loads(json.dumps(made.settings))
    assert settings['image'] == list(SHAPE) and settings['classes'] == ['red', 'green']
    assert [stage['agnostic'] for stage in settings['boxes']['stages']] == [False]
    detector = detector_in_python(made)
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 3, *SHAPE), np.uint8)
    found = [detector(image) for image in images]
    assert all(0 < len(x.scores) <= 10 for x in found)
    assert {label for x in found for label in x.labels} >= {1}  # its own deltas
    target = TARGETS['wasm']
    if target.missing():
        pytest.skip(target.missing())
    node = detected_in_node(target.build(), tmp_path, list(images), 'simd128')
    assert [x['digest'] for x in node] == [digest(x.arrays) for x in found]


def test_one_stage_finds_nothing(run, tmp_path):
    """Where no score is enough: no deltas of any class, and no masks."""
    made = export_detector(run / 'integer.py', None, tmp_path, shape=SHAPE)
    made.settings['boxes']['least'] = 1.0
    found = detector_in_python(made)(np.zeros((1, 3, *SHAPE), np.uint8))
    assert found.boxes.shape == (0, 4) and len(found.scores) == len(found.labels) == 0
    assert found.masks is not None and found.masks.shape == (0, *SHAPE)


#: Every anchor is a proposal: which of equal scores come first does not matter, then.
ALL = {
    f'model.test_cfg.rpn.{key}': value
    for key, value in {
        'nms_pre': 3000,
        'max_per_img': 3000,
        'nms.iou_threshold': 1.0,
    }.items()
}


def undecided(found, wanted, probabilities):
    """How far from 1/2 mmdet's probability of a pixel is that differs, at most."""
    farthest = 0.0
    for box, label, mask in zip(found.boxes, found.labels, found.masks, strict=True):
        apart = np.abs(wanted.bboxes.numpy() - box).max(axis=1)
        apart[wanted.labels.numpy() != label] = np.inf
        j = int(apart.argmin())
        differs = mask.astype(bool) != wanted.masks[j].numpy()
        off = np.abs(probabilities[j].numpy() / 255 - 0.5)[differs]
        farthest = max(farthest, float(off.max(initial=0)))
    return farthest


def test_mmdet_finds_the_same(run, tmp_path):
    config = run / 'integer.py'
    made = export_detector(config, None, tmp_path, shape=SHAPE, cfg_options=ALL)
    cfg, model = load_quantized(str(config), None, ALL)
    batch = example_batch(cfg, SHAPE)
    ((_, integers),) = pictures(model, made.programs['trunk.iptq'], [batch], 1)
    with torch.no_grad():
        wanted = model.test_step(batch)[0].pred_instances
        model.roi_head.test_cfg.mask_thr_binary = -1  # mmdet keeps probabilities, then
        probabilities = model.test_step(batch)[0].pred_instances.masks
    beside = Differences()
    found = detector_in_python(made)(pixel_bytes(integers))
    beside.add(found, wanted, 0.02)
    assert beside.objects > 0 and beside.missing == 0
    assert beside.box < 0.2 and beside.score < 0.01
    # A head that was never trained is undecided in many pixels: only these may differ.
    assert beside.mask > 0.8 and undecided(found, wanted, probabilities) < 0.005


def test_the_tool(run, tmp_path, monkeypatch, capsys):
    tool = scripts.runner(scripts.as_module(TOOL), monkeypatch, capsys)
    monkeypatch.chdir(tmp_path)
    arguments = [run / 'integer.py', '--out', 'files', '--to', 'detector']
    code, out, _ = tool(*arguments, '--shape', 64, 96)
    assert code == 0 and 'wrote 3 programs for images of 64x96' in out
    assert (tmp_path / 'files' / 'detector.json').is_file()
    code, _, err = tool(*arguments, '--print')
    assert code and '--print and --to detector exclude each other' in err
    code, _, err = tool(*arguments, '--shape', 50, 96)
    assert code and 'images of (50, 96) are padded to (64, 96)' in err


def built(tiny_data, **changes):
    """A float detector with some settings changed."""
    cfg = tiny_models.mask_rcnn(tiny_data / 'detection')
    cfg.model.test_cfg.rcnn.mask_thr_binary = 0.5
    cfg.merge_from_dict(changes)
    return tiny_models.build(cfg)


def test_floats_as_input_are_refused(tiny_data, tmp_path):
    config, _ = tiny_models.write(mask_rcnn(tiny_data, False), tmp_path, 'cfg')
    quantize_and_compare(config, work_dir=str(tmp_path / 'run'))
    with pytest.raises(ConfigError, match='quantization.pixels=True'):
        export_detector(tmp_path / 'run' / 'integer.py', None, tmp_path, shape=SHAPE)


def test_a_float_detector_is_refused(tiny_data):
    with pytest.raises(ConfigError, match='set quantization.regions to backbone'):
        detector_programs(built(tiny_data), {}, None)


@pytest.mark.parametrize(
    ('changes', 'said'),
    [
        ({'model.test_cfg.rcnn.nms.type': 'soft_nms'}, "rcnn.nms.type is 'soft_nms'"),
        ({'model.test_cfg.rpn.nms.class_agnostic': True}, "is .'class_agnostic'."),
        (
            {'model.roi_head.bbox_head.bbox_coder.clip_border': False},
            'clip_border is False',
        ),
        (
            {'model.roi_head.bbox_roi_extractor.roi_layer.aligned': False},
            'aligned is False',
        ),
        ({'model.test_cfg.rcnn.max_per_img': -1}, 'rcnn.max_per_img is -1'),
        ({'model.test_cfg.rpn.max_per_img': 0}, 'rpn.max_per_img is 0'),
        ({'model.test_cfg.rcnn.mask_thr_binary': -1}, 'mask_thr_binary is -1'),
    ],
)
def test_unknown_parts_are_refused(tiny_data, changes, said):
    model = built(tiny_data, **changes)
    with pytest.raises(ConfigError, match=said):
        detector_settings(model)


def test_an_unknown_head_is_refused(tiny_data):
    model = built(tiny_data)
    model.roi_head.__class__ = type('GridRoIHead', (type(model.roi_head),), {})
    with pytest.raises(ConfigError, match='roi_head is GridRoIHead'):
        detector_settings(model)


def test_an_unknown_box_head_is_refused(tiny_data):
    model = built(tiny_data)
    head = model.roi_head.bbox_head
    head.__class__ = type('OtherHead', (type(head),), {})
    with pytest.raises(ConfigError, match='bbox_head is OtherHead'):
        detector_settings(model)


def test_classes_of_the_dataset(tiny_data):
    """Most configs of COCO name none."""
    cfg = mask_rcnn(tiny_data)
    assert list(class_names(cfg)) == ['red', 'green']
    del cfg.test_dataloader.dataset.metainfo
    names = class_names(cfg)
    assert len(names) == 80 and names[0] == 'person'


def test_other_models_are_refused(tiny_data):
    cfg = tiny_models.vit(tiny_data / 'classification')
    init_default_scope(cfg.default_scope)
    with pytest.raises(ConfigError, match='has no rpn_head and roi_head'):
        detector_settings(tiny_models.build(cfg))
