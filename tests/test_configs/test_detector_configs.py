"""Detectors and segmenters with transformers, quantized as their configs say."""

import sys

import pytest
import torch
from region_models import CANDIDATES
from shipped import ROOT, names

from iptq_mm.engine.export.checkpoint import (
    export_config,
    save_quantized,
    write_config,
)
from iptq_mm.engine.loading.models import load_quantized
from iptq_mm.engine.quantize.model import quantize_model
from iptq_mm.kept_float import kept_float
from iptq_mm.modes import bound_region, regions_in
from iptq_mm.program import use_backend

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures('no_grad')]

NAMES = [
    path.removeprefix('detectors/').removesuffix('_w8a8_coco.py')
    for path in names('detectors/*.py')
]


@pytest.fixture
def detectors(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    yield __import__('survey_detectors')
    for name in ('survey_detectors', 'survey_zoo'):
        sys.modules.pop(name, None)


@pytest.mark.parametrize('name', NAMES)
def test_regions_run_in_integers(name, detectors):
    model, batch = detectors.small_detector(name), detectors.batch
    config = detectors.settings_of(name, CANDIDATES)
    config.on_mismatch = 'warn'
    found = quantize_model(model, config, [batch()])
    for region, check in found.checks.items():
        assert check['integer_db'] > check['expected_db'] - 3, region
        assert check['integer_db'] > 15, region
    once = [outputs(x) for x in model.test_step(batch())]
    use_backend(model, 'native')
    again = [outputs(x) for x in model.test_step(batch())]
    for one, other in zip(once, again, strict=True):
        assert all(map(torch.equal, one, other))
    # All layers but those that the config keeps float are in a region.
    inside = {
        id(p)
        for region in found.plans
        for p in model.get_submodule(region).parameters()
    }
    beside = {n for n, p in model.named_parameters() if id(p) not in inside}
    assert {n.rpartition('.')[0] or n for n in beside} <= BESIDE.get(name, set())
    floats = {
        path.rpartition('.')[2]
        for region in found.plans
        for path in kept_float(model.get_submodule(region))
    }
    assert floats == FLOAT.get(name, set())
    assert all(bound_region(model.get_submodule(r)) for r in found.plans)


#: Modules outside that have parameters: embeddings of places and queries, and what the
#: decoder of DINO computes with the coordinates of its boxes.
BESIDE = {
    'detr_r50': {'query_embedding'},
    'deformable-detr_r50': {'level_embed', 'query_embedding', 'reference_points_fc'},
    'dino_swin-l': {
        'level_embed',
        'query_embedding',
        'decoder.norm',
        'decoder.ref_point_head.layers.0',
        'decoder.ref_point_head.layers.1',
        'dn_query_generator.label_embedding',
        'memory_trans_fc',
        'memory_trans_norm',
    },
    'mask2former_swin-t': {
        'panoptic_head.pixel_decoder.level_encoding',
        'panoptic_head.transformer_decoder.post_norm',
        'panoptic_head.query_embed',
        'panoptic_head.query_feat',
        'panoptic_head.level_embed',
    },
}
#: Names of modules that stay float within regions.
FLOAT = {
    'deformable-detr_r50': {'self_attn', 'cross_attn'},
    'dino_swin-l': {'self_attn', 'cross_attn'},
    'mask2former_swin-t': {'self_attn', 'cross_attn'},
}


def outputs(sample):
    """Scores and boxes, or masks."""
    found = sample.pred_instances
    return [found.scores, found.bboxes, *([found.masks] if 'masks' in found else [])]


@pytest.mark.parametrize('name', ['detr_r50', 'dino_swin-l', 'mask2former_swin-t'])
def test_integers_load_by_the_config(name, detectors, tmp_path):
    """Regions that code makes are parts of the nearest module that the config has."""
    model, batch = detectors.small_detector(name), detectors.batch
    config = detectors.settings_of(name, CANDIDATES)
    config.on_mismatch = 'warn'
    found = quantize_model(model, config, [batch()])
    cfg = detectors.config_of(name)
    cfg.merge_from_dict({'model': detectors.SMALLER[name]})
    exported = export_config(cfg, list(config.regions), 'integer.pth')
    write_config(exported, tmp_path / 'integer.py')
    save_quantized(model, tmp_path / 'integer.pth')
    again = load_quantized(tmp_path / 'integer.py')[1]
    assert set(regions_in(again)) == set(found.plans)
    for one, other in zip(
        model.test_step(batch()), again.test_step(batch()), strict=True
    ):
        assert all(map(torch.equal, outputs(one), outputs(other)))
