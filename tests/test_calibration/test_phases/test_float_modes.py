"""Observing and analysing leave the model's outputs alone and name its sites."""

from collections import Counter

import pytest
import torch
from mmengine.registry import init_default_scope
from region_models import (
    CANDIDATES,
    FAMILIES,
    SEVERAL,
    Custom,
    bound,
    calibrated,
    config,
    images,
    quantized,
    rows,
    same,
    sqnr,
    tensors,
)

from iptq_mm.calibration.phases.analyse_mode import Analysing
from iptq_mm.calibration.phases.observe_mode import Observing
from iptq_mm.calibration.planner import Planner
from iptq_mm.calibration.sampling import MAX_ELEMENTS
from iptq_mm.record import RegionRecord

pytestmark = pytest.mark.usefixtures('no_grad')


def analysing(module, record, cfg):
    planner = Planner(record, cfg)
    plan = planner.plan(type(module).__name__)
    return Analysing(plan, cfg.functions(), record, planner.qparams, lambda f, n: 1.0)


def close(expected, actual):
    for real, other in zip(tensors(expected), tensors(actual), strict=True):
        # The same operations, but fused attention and convolutions reorder sums.
        torch.testing.assert_close(other, real, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('name', FAMILIES)
def test_float_modes_give_the_models_outputs(name):
    model = FAMILIES[name]()
    x = images(2, 3, 48, 40)
    expected = model(x)
    record = RegionRecord()
    with bound(model, Observing(record)):
        close(expected, model(x))
    with bound(model, analysing(model, record, config())):
        close(expected, model(x))
    assert same(model(x), expected)


def sites(model, x):
    record = RegionRecord()
    with bound(model, Observing(record)):
        model(x)
    return record.operations


def test_deit_tiny_has_148_sites():
    from mmpretrain.models import DistilledVisionTransformer

    init_default_scope('mmpretrain')
    model = DistilledVisionTransformer('deit-tiny', img_size=224, patch_size=16)
    model.eval()
    found = sites(model, torch.randn(1, 3, 32, 32))
    assert len(found) == 148
    assert Counter(found.values()) == {
        'conv2d': 1,
        'cat': 1,
        'linear': 48,
        'matmul': 24,
        'softmax': 12,
        'gelu': 12,
        'layer_norm': 25,
        'add': 25,
    }
    assert {'layers.0.attn/softmax:0', 'layers.11.ffn/add:0'} <= found.keys()
    # The same whatever the image and its size.
    assert sites(model, torch.randn(2, 3, 48, 32)) == found


def test_mmdet_swin_tiny_has_168_sites():
    """13 a block; adding a mask is no site of its own."""
    from mmdet.models import SwinTransformer

    init_default_scope('mmdet')
    model = SwinTransformer(depths=(2, 2, 6, 2), num_heads=(3, 6, 12, 24))
    model.eval()
    found = sites(model, torch.randn(1, 3, 64, 64))
    assert len(found) == 168
    assert found['stages.2.blocks.5.attn.w_msa.softmax/softmax:0'] == 'softmax'
    assert sites(model, torch.randn(1, 3, 40, 96)) == found


def test_sources_lead_to_what_made_an_operand():
    record = RegionRecord()
    module = Custom(lambda self, x: self.last(x.flatten(0, 1) * 2) + self.p[0])
    with bound(module, Observing(record)):
        module(rows())
    assert list(record.operations) == [
        'first/linear:0',
        'norm/layer_norm:0',
        'last/linear:0',
        '/add:0',
    ]
    assert record.sources['first/linear:0'] == [
        'input:0',
        'parameter:first.weight',
        'parameter:first.bias',
    ]
    assert record.sources['last/linear:0'][0] == 'norm/layer_norm:0'
    assert record.sources['/add:0'] == ['last/linear:0', 'parameter:p']
    assert record.outputs == {'/add:0'}
    assert record.parameters == {
        'first.weight': {'weight'},
        'first.bias': {'bias'},
        'norm.weight': {'norm'},
        'norm.bias': {'norm'},
        'last.weight': {'weight'},
        'last.bias': {'bias'},
        'p': {'table'},
    }


def masked(self, x):
    scores = x @ x.transpose(-2, -1) * 0.1
    if x.shape[1] == 5:
        return scores.softmax(-1) @ x
    hidden = torch.ones(scores.shape[-2:]).triu(1) > 0
    mask = torch.zeros(scores.shape[-2:]).masked_fill(hidden, self.hide)
    return (scores + mask).softmax(-1) @ x


@pytest.mark.parametrize('hide', [-100.0, -1e4, -torch.inf, torch.finfo().min])
def test_masks(hide):
    module = Custom(masked, hide=hide)
    batches = [rows(4, 6, seed=s) for s in range(2)]
    net, plan, record = calibrated(module, batches, config(SEVERAL))
    for candidates in record.candidates.values():
        for errors in candidates.values():
            assert errors.sqnr_db > 5 and errors.input_sqnr_db > 20
    net = quantized(module, batches, config(SEVERAL))
    assert sqnr(module(batches[0]), net(batches[0])) > 25


@pytest.mark.parametrize('first', [5, 6])
def test_constants_serve_images_without_and_with_mask(first):
    """The first image brings no mask, so that its inputs span less."""
    module = Custom(masked, hide=-100.0)
    plain, hidden = rows(4, 5), rows(4, 6, seed=1)
    batches = [plain, hidden] if first == 5 else [hidden, plain]
    for candidates in (CANDIDATES, SEVERAL):
        net = quantized(module, batches, config(candidates))
        assert sqnr(module(plain), net(plain)) > 25
        assert sqnr(module(hidden), net(hidden)) > 25


def test_a_mask_never_seen_before_gets_its_constants():
    def body(self, x):
        scores = x @ x.transpose(-2, -1)  # sharp: probabilities reach 1
        hidden = torch.ones(scores.shape[-2:]).triu(1) > 0
        mask = torch.zeros(scores.shape[-2:]).masked_fill(hidden, -100.0)
        return (scores + mask if len(x) == 1 else scores).softmax(-1) @ x

    module = Custom(body)
    net = quantized(module, [rows(2, 6), rows(2, 6, seed=1)])
    x = rows(2, 6)[:1]
    assert sqnr(module(x), net(x)) > 25


def test_an_impossible_candidate_is_refused_and_the_other_chosen():
    """GELU's table takes 8 bits, LayerNorm's inputs may be too wide for one."""

    def body(self, x):
        return self.last(x) + self.norm(x + 3.0)

    module = Custom(body)
    record = RegionRecord()
    with bound(module, Observing(record)):
        module(rows())
    cfg = config()
    mode = analysing(module, record, cfg)
    with bound(module, mode):
        module(rows())
    refused = record.refused['norm/layer_norm:1']
    assert list(refused) == ['ibert_layernorm'] and 'bits' in refused['ibert_layernorm']


def test_large_inputs_are_sampled_evenly():
    record = RegionRecord()
    cfg = config()
    module = Custom(lambda self, x: x)
    x = rows(2, MAX_ELEMENTS // 8)
    with bound(module, Observing(record)):
        module(x)
    mode = analysing(module, record, cfg)
    with bound(module, mode):
        module(x)
    errors = record.candidates['norm/layer_norm:0']['ibert_layernorm']
    assert errors.elements == 2 * MAX_ELEMENTS * 2 and errors.images == 2
