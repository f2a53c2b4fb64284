"""Float parameters become integers; the module keeps its names."""

import copy

import pytest
import torch
from region_models import (
    Custom,
    Net,
    calibrated,
    config,
    quantized,
    rows,
    same,
    sqnr,
    vit,
)
from torch import nn

from iptq_mm.calibration import freeze_regions
from iptq_mm.calibration.phases.freeze import nearest
from iptq_mm.modes import Integer, bound_region
from iptq_mm.modes.install import PLAN_KEY, install
from iptq_mm.plan import ParameterPlan, PlanError, RegionPlan

pytestmark = pytest.mark.usefixtures('no_grad')


def test_state_dict_has_integers_under_the_usual_names():
    module = Custom(lambda self, x: self.last(x) + self.p)
    net = quantized(module, [rows()])
    state, before = net.backbone.state_dict(), module.state_dict()
    assert list(before) == [k for k in state if k != PLAN_KEY]
    types = {k: v.dtype for k, v in state.items()}
    assert types['last.weight'] == torch.int8 and types['p'] == torch.int16
    assert types['last.bias'] == types['norm.weight'] == torch.int32
    assert types[PLAN_KEY] == torch.uint8
    for key, value in before.items():
        assert state[key].shape == value.shape
        scale = torch.as_tensor(
            RegionPlan.from_tensor(state[PLAN_KEY]).parameters[key].scale,
            dtype=torch.float64,
        ).view(-1, *[1] * (value.dim() - 1))
        error = (state[key] * scale - value).abs()
        assert (error <= scale * 0.5001).all(), key


def test_parameters_ask_for_no_gradient():
    net = quantized(Custom(lambda self, x: self.last(x)), [rows()])
    assert not any(p.requires_grad for p in net.parameters())
    assert all(isinstance(p, nn.Parameter) for p in net.parameters())
    with torch.enable_grad():
        assert not net(rows().requires_grad_()).requires_grad


def test_shared_parameters_stay_shared():
    class Shared(Custom):
        def __init__(self):
            super().__init__(lambda self, x: self.other(x) + self.last(x))
            self.other = nn.Linear(16, 16)
            self.other.weight = self.last.weight

    module = Shared()
    net = quantized(module, [rows()])
    assert net.backbone.other.weight is net.backbone.last.weight
    assert sqnr(module(rows()), net(rows())) > 25


def test_modules_that_others_share():
    class Holder(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            return self.layer(x)

    layer = nn.Linear(16, 16)
    module = Custom(
        lambda self, x: self.one(x) + self.two(self.last(x)),
        one=Holder(layer),
        two=Holder(layer),
    )
    net = quantized(module, [rows()])
    assert net.backbone.one.layer is net.backbone.two.layer
    assert net.backbone.one.layer.weight.dtype == torch.int8
    assert sqnr(module(rows()), net(rows())) > 25


def test_unused_parameters_come_along():
    module = Custom(lambda self, x: x, unused=nn.Linear(2, 2))
    net = quantized(module, [rows()])
    assert net.backbone.unused.weight.dtype == torch.int16


def test_freeze_refuses_a_foreign_plan_and_changes_nothing():
    _, plan, _ = calibrated(Custom(lambda self, x: x), [rows()])
    other = vit()
    before = {k: v.clone() for k, v in other.state_dict().items()}
    with pytest.raises(PlanError, match='another model'):
        freeze_regions(Net(other), config(), {'backbone': plan})
    after = other.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[k], v) for k, v in before.items())
    assert bound_region(other) is None


def test_install_waits_for_a_checkpoint():
    module = Custom(lambda self, x: self.last(x))
    net, plan, _ = calibrated(module, [rows()])
    frozen = copy.deepcopy(net.backbone)
    freeze_regions(Net(frozen), config(), {'backbone': plan})
    empty = copy.deepcopy(net.backbone)
    install('backbone', empty, plan)
    assert not any(p.any() for p in empty.parameters())
    empty.load_state_dict(frozen.state_dict())
    assert same(empty(rows()), frozen(rows()))


@pytest.mark.parametrize('bits', [2, 3, 4, 6, 8])
def test_weights_of_few_bits(bits):
    module = Custom(lambda self, x: self.last(x))
    net = quantized(module, [rows()], config(weight=dict(bits=bits)))
    weight = net.backbone.last.weight
    assert int(weight.abs().max()) == 2 ** (bits - 1) - 1
    assert sqnr(module(rows()), net(rows())) > {2: 0, 3: 5, 4: 10, 6: 18, 8: 25}[bits]


def test_nearest_of_a_parameter_with_one_scale():
    value = torch.tensor([[0.5, -1.0, 0.26], [0.0, 0.0, 0.0]])
    table = ParameterPlan('table', 16, (2, 3), 1e-5)
    q = nearest(value, table)
    assert q.tolist()[0] == [32767, -32767, 26000] and q.dtype == torch.int16


def test_the_mode_belongs_to_the_plan():
    net = quantized(Custom(lambda self, x: self.last(x)), [rows()])
    region = bound_region(net.backbone)
    assert region.name == 'backbone' and isinstance(region.mode, Integer)
    own = RegionPlan.from_tensor(net.backbone.get_buffer(PLAN_KEY))
    assert own.to_dict() == region.mode.plan.to_dict()
