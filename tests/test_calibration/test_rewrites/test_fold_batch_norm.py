"""Batch norms that become part of the layer before them."""

import copy

import pytest
import torch
from detector_parts import Beside, bbox_head, boxes, fpn, mask_head, normed, pyramid
from hypothesis import given, settings
from hypothesis import strategies as st
from region_models import Net, config, images, quantized, same, sqnr
from torch import nn

from iptq_mm.calibration import fold_batch_norm
from iptq_mm.calibration.rewrites.fold_batch_norm import folded_parameters
from iptq_mm.models.quantized import await_plan
from iptq_mm.modes import bound_region
from iptq_mm.modes.install import install
from iptq_mm.norms import folded_norms
from iptq_mm.plan import PlanError, RegionPlan

pytestmark = pytest.mark.usefixtures('no_grad')


def fold(body, *batches):
    """A folded copy, and what was folded."""
    net = Net(copy.deepcopy(body)).eval()
    done = fold_batch_norm(net, config(), lambda batch: net(*batch), batches)
    return net.backbone, done.get('backbone')


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 5), st.booleans(), st.booleans(), st.integers(0, 99))
def test_the_formula(channels, bias, affine, seed):
    torch.manual_seed(seed)
    layer = nn.Conv2d(3, channels, 3, bias=bias)
    norm = normed(nn.BatchNorm2d(channels, affine=affine), seed).eval()
    if affine:
        norm.weight.normal_(), norm.bias.normal_()
    x = torch.randn(2, 3, 5, 5)
    folded = nn.functional.conv2d(x, **folded_parameters(layer, norm))
    assert torch.allclose(folded, norm(layer(x)), atol=1e-4)


PARTS = {
    'bbox head': (lambda: bbox_head(norm_cfg=dict(type='SyncBN')), boxes(5), 4),
    'mask head': (lambda: mask_head(norm_cfg=dict(type='BN')), boxes(5), 2),
    'fpn': (lambda: fpn(norm_cfg=dict(type='BN'), act_cfg=None), pyramid(), 6),
}


@pytest.mark.parametrize('name', PARTS)
def test_parts_of_detectors(name):
    make, x, count = PARTS[name]
    body = Beside(normed(make())).eval()
    folded, done = fold(body, (x,))
    assert len(done) == count and folded_norms(folded) == done
    assert all(layer == norm.replace('.bn', '.conv') for norm, layer in done.items())
    assert sqnr(body(x), folded(x)) > 90
    assert not any('running' in name for name in folded.state_dict())
    net = quantized(folded, [(x,)])
    sites = bound_region(net.backbone).mode.plan.sites
    assert not any('/mul' in site for site in sites)
    assert sqnr(body(x), net(x)) > 25


class Pair(nn.Module):
    """A layer and a batch norm, and something else that uses one of them."""

    def __init__(self, body):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(4, 4, 1), normed(nn.BatchNorm2d(4))
        self.other, self.norm, self.body = nn.Conv2d(4, 4, 1), nn.LayerNorm(4), body

    def forward(self, x):
        return self.body(self, x), self.norm(x.permute(0, 2, 3, 1))


def twice(m, x):
    return m.bn(m.conv(x)) + m.bn(m.conv(x + 1.0))


def tied(m, x):
    return m.bn(m.conv(x)) + nn.functional.conv2d(x, m.conv.weight)


OBSTACLES = {
    'another user': lambda m, x: m.bn(y := m.conv(x)) + y,
    'an output': lambda m, x: (m.bn(y := m.conv(x)), y),
    'a tied weight': tied,
    'another call of the layer': lambda m, x: m.bn(m.conv(x)) + m.conv(x).relu(),
    'two layers': lambda m, x: m.bn(m.conv(x)) + m.bn(m.other(x)),
    'a sum': lambda m, x: m.bn(m.conv(x) + x),
    'no layer': lambda m, x: m.bn(x),
    'a factor': lambda m, x: m.bn(2 * m.conv(x)),
    'other channels': lambda m, x: m.bn(m.conv(x).flip(1)),
}


@pytest.mark.parametrize('name', OBSTACLES)
def test_what_is_not_folded(name):
    body, x = Pair(OBSTACLES[name]).eval(), images(2, 4, 6, 6)
    before = copy.deepcopy(body.state_dict())
    left, done = fold(body, (x,))
    assert done == {} == folded_norms(left) and isinstance(left.bn, nn.BatchNorm2d)
    assert all(torch.equal(before[k], v) for k, v in left.state_dict().items())
    assert sqnr(body(x), quantized(left, [(x,)])(x)) > 25


def test_pairs_that_run_several_times():
    x = images(2, 4, 6, 6)
    body = Pair(twice).eval()
    folded, done = fold(body, (x,))
    assert done == {'bn': 'conv'} and isinstance(folded.bn, nn.Identity)
    assert sqnr(body(x), folded(x)) > 90


def test_regions_without_batch_norm_cost_nothing():
    net = Net(nn.LayerNorm(4))

    def forward(batch):
        raise AssertionError('nothing has to run')

    assert fold_batch_norm(net, config(), forward, [1]) == {}


def test_a_region_that_only_a_later_batch_reaches():
    net = Net(Beside(normed(bbox_head(norm_cfg=dict(type='BN'))))).eval()
    seen = []

    def forward(x):
        seen.append(len(x))
        return net(x) if len(x) else None

    batches = [boxes(0), boxes(3), boxes(2)]
    assert len(fold_batch_norm(net, config(), forward, batches)['backbone']) == 4
    assert seen == [0, 3, 3]


def test_checkpoints_build_the_same_structure():
    body, x = Pair(lambda m, x: m.bn(m.conv(x))).eval(), images(2, 4, 6, 6)
    folded, _ = fold(body, (x,))
    net = quantized(folded, [(x,)])
    state = net.backbone.state_dict()
    plan = bound_region(net.backbone).mode.plan
    assert RegionPlan.from_tensor(state['quantization_plan']).norms == {'bn': 'conv'}
    other = Pair(lambda m, x: m.bn(m.conv(x))).eval()
    await_plan(other)
    other.load_state_dict(state)
    assert same(other(x), net(x))
    other.load_state_dict(state)  # again
    assert same(other(x), net(x))
    missing = nn.Sequential(nn.Conv2d(4, 4, 1))
    await_plan(missing)
    with pytest.raises(PlanError, match='made for another model'):
        missing.load_state_dict(state)
    with pytest.raises(PlanError, match='made for another model'):
        install('backbone', Pair(None), plan)
