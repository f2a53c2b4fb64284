"""From records to the plans of all regions."""

import copy

import pytest
from region_models import (
    SEVERAL,
    Custom,
    calibrated,
    config,
    images,
    quantized,
    rows,
    same,
    sqnr,
    vit,
)
from torch import nn

from iptq_mm.calibration import analyse, assign, freeze_regions, observe
from iptq_mm.modes import regions_in

pytestmark = pytest.mark.usefixtures('no_grad')


def test_a_head_beside_a_transformer():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone = Custom(lambda self, x: self.last(x))
            self.head = nn.Linear(16, 3)

        def forward(self, x):
            return self.head(self.backbone(x).mean(1))

    net = Two().eval()
    float_net, cfg = copy.deepcopy(net), config(regions=['backbone', 'head'])
    batches = [rows(seed=s) for s in range(3)]
    records = observe(net, cfg, net, batches)
    analyse(net, cfg, records, net, batches)
    plans = assign(net, cfg, records)
    assert list(plans) == ['backbone', 'head']
    assert plans['head'].module == 'Linear'
    freeze_regions(net, cfg, plans)
    assert sorted(regions_in(net)) == ['backbone', 'head']
    assert sqnr(float_net(batches[0]), net(batches[0])) > 20


def test_quantization_is_reproducible():
    batches = [images(2, 3, 32, 32, seed=s) for s in range(2)]
    first, second = (
        calibrated(vit(), batches, config(SEVERAL))[1].to_dict() for _ in range(2)
    )
    assert first == second
    x = images(2, 3, 48, 32)
    one, other = (quantized(vit(), batches, config(SEVERAL)) for _ in range(2))
    assert same(one(x), other(x))
