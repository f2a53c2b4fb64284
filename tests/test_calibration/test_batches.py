"""Batches through the float model, which stays as it was."""

import copy

import pytest
import torch
from region_models import Custom, Net, config, images, plain_net, rows, vit

from iptq_mm.calibration import analyse, observe
from iptq_mm.modes import regions_in

pytestmark = pytest.mark.usefixtures('no_grad')


def test_the_model_is_left_as_it_was():
    net = Net(vit(drop_rate=0.1))
    net.train()
    net.backbone.patch_embed.eval()  # frozen stages, say
    flags = [m.training for m in net.modules()]
    values = copy.deepcopy(net.state_dict())
    records = observe(net, config(), net, [images(2, 3, 32, 32)])
    analyse(net, config(), records, net, [images(2, 3, 32, 32)])
    assert [m.training for m in net.modules()] == flags
    assert regions_in(net) == {}
    state = net.state_dict()
    assert all(torch.equal(state[k], v) for k, v in values.items())


def test_the_model_is_left_as_it_was_after_an_error():
    net = plain_net().train()
    with pytest.raises(ValueError):
        observe(net, config(), net, [rows(), rows() * torch.nan])
    assert net.training and regions_in(net) == {}


def test_what_comes_after_the_regions_runs_once():
    calls = []

    class Model(Net):
        def forward(self, x):
            y = self.backbone(x)
            calls.append(1)
            return y

    net = Model(Custom(lambda self, x: self.last(x)))
    records = observe(net, config(), net, [rows(seed=s) for s in range(5)])
    assert len(calls) == 1
    counts = {v.count for v in records['backbone'].values.values()}
    assert min(counts) == 5 * rows().numel()  # but every batch was seen whole
