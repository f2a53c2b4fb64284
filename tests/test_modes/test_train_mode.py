"""Integers run as in evaluation, whatever mode the model around them is in."""

import copy

import pytest
import torch
from region_models import Custom, Net, images, quantized, rows, vit
from torch import nn

from iptq_mm.calibration.phases.observe_mode import Observing
from iptq_mm.modes import Region, bind
from iptq_mm.program import use_backend
from iptq_mm.record import RegionRecord

pytestmark = pytest.mark.usefixtures('no_grad')

BACKENDS = [None, 'reference', 'native']


@pytest.fixture(scope='module')
def dropping():
    """A ViT that drops values and paths in training."""
    module = vit(drop_rate=0.5, drop_path_rate=0.5)
    x = images(2, 3, 32, 32)
    with torch.no_grad():
        return quantized(module, [x]), x


@pytest.mark.parametrize('backend', BACKENDS)
def test_the_same_in_training_mode(dropping, backend):
    net, x = dropping
    expected = net(x)[0]
    net = copy.deepcopy(net)
    use_backend(net, backend)
    for calls in range(2):  # the first call traces
        net.train()
        assert net.training and not net.backbone.training, calls
        assert not any(m.training for m in net.backbone.modules())
        assert torch.equal(net(x)[0], expected)
        net.eval()
        assert torch.equal(net(x)[0], expected)
    net.backbone.train()
    assert torch.equal(net(x)[0], expected)


def test_what_surrounds_them_trains(dropping):
    net, _ = dropping
    outer = nn.Module()
    outer.net, outer.head = copy.deepcopy(net), nn.Dropout()
    outer.eval().train()
    assert outer.training and outer.head.training
    assert not outer.net.backbone.training


def test_a_model_that_was_training_when_it_was_frozen():
    module = Custom(lambda self, x: self.drop(self.last(x)), drop=nn.Dropout(0.5))
    x = rows()
    net = quantized(module, [x])
    expected = net(x)
    from iptq_mm.modes.install import install

    fresh = Net(copy.deepcopy(module)).train()
    plan = net.backbone.iptq_region.mode.plan
    install('backbone', fresh.backbone, plan, dict(net.backbone.named_parameters()))
    assert torch.equal(fresh(x), expected)


def test_float_modes_leave_it_to_the_caller():
    module = Custom(lambda self, x: self.last(x))
    bind(module, Region('backbone', Observing(RegionRecord())))
    module.train()
    assert module.training and module.last.training
