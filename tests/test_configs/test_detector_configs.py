"""Detectors and segmenters with transformers, quantized as their configs say."""

import sys

import pytest
import torch
from region_models import CANDIDATES
from shipped import ROOT, names

from iptq_mm.engine.quantize.model import quantize_model
from iptq_mm.kept_float import kept_float
from iptq_mm.modes import bound_region
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
