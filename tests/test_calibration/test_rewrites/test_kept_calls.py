"""Calls of regions that are kept, and run again with other parameters."""

import math

import pytest
import torch
from region_models import Custom, config, rows, same, tensors
from torch import nn

from iptq_mm.calibration.phases.equalize import channel_maps
from iptq_mm.calibration.rewrites.kept_calls import change, kept_calls, outputs_of
from iptq_mm.modes import regions_in


class Detector(nn.Module):
    """A head that sees as many rows as there are large values."""

    def __init__(self):
        super().__init__()
        self.backbone = Custom(lambda m, x: m.last(x))
        self.head = nn.Sequential(nn.Linear(16, 3), nn.ReLU())

    def forward(self, x):
        y = self.backbone(x)
        return self.head(y[y[..., 0] > y[..., 0].median()])


@pytest.fixture
def net():
    torch.manual_seed(0)
    with torch.no_grad():
        yield Detector().train()


REGIONS = ['backbone', 'head']


def test_calls_are_those_of_the_first_batch(net):
    calls = kept_calls(net, REGIONS, net, [rows(), rows(seed=1)])
    assert [call.region for call in calls] == REGIONS
    assert torch.equal(calls[0].args[0], rows())
    assert len(calls[1].args[0]) == 10  # of 20
    assert net.training and not regions_in(net)


def test_heads_get_the_rows_that_they_got(net):
    calls = kept_calls(net, REGIONS, net, [rows()])
    before = outputs_of(net, calls)
    assert same(before[1], net(rows()))
    assert same(before, outputs_of(net, calls))
    net.backbone.last.weight.normal_()  # other rows are above the median
    after = outputs_of(net, calls)
    assert not same(before[0], after[0]) and same(before[1], after[1])
    assert net.training and not regions_in(net)


def test_change():
    x = rows()
    assert change([x], [x]) == 0.0
    assert change([x, x], [x, 1.1 * x]) == pytest.approx(0.1, rel=1e-4)
    assert change([0 * x], [0 * x]) == 0.0
    assert change([0 * x], [x]) == math.inf == change([x], [x * math.nan])


def test_equalizers_look_at_transformers_alone(net):
    seen = []

    def forward(x):
        seen.append(1)
        return net(x)

    maps = channel_maps(net, config(regions=REGIONS), forward, [rows()])
    assert list(maps) == ['backbone'] and len(seen) == 2
    assert tensors(net(rows()))
