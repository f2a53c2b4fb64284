"""Ranges chosen by the error at the outputs."""

import pytest
import torch
from region_models import Custom, calibrated, config, images, rows, sqnr, vit
from torch import nn

from iptq_mm.calibration import (
    analyse,
    assign,
    choose_ranges,
    freeze_regions,
    observe,
    search_ranges,
)
from iptq_mm.calibration.phases.search import SHARES, narrow_values
from iptq_mm.calibration.planner import Planner


class Net(nn.Module):
    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone

    def forward(self, x):
        return self.backbone(x)


def searched(module, batches, bits=4):
    net = Net(module).eval()
    cfg = config(activation=dict(bits=bits, observer=dict(type='minmax')))
    records = observe(net, cfg, net, batches)
    found = search_ranges(net, cfg, records, net, batches)
    choose_ranges(records['backbone'], found['backbone'])
    return net, cfg, records


def outliers(seed):
    """One value in a thousand is ten times as large, and nothing depends on it."""
    x = rows(16, 16, seed=seed)
    x[..., 0, 7] = 40.0
    return x


def harmless():
    module = Custom(lambda self, x: self.last(x))
    with torch.no_grad():
        module.first.weight[:, 7] = 0
    return module


def test_outliers_that_nothing_depends_on_are_clipped():
    module = harmless()
    _, _, records = searched(module, [outliers(s) for s in range(4)])
    assert records['backbone'].clipping['input:0'] < 0.5


def test_the_outputs_gain():
    module, batches = harmless(), [outliers(s) for s in range(4)]
    x = outliers(9)
    with torch.no_grad():
        plain, plan, _ = calibrated(
            module,
            batches,
            config(activation=dict(bits=4, observer=dict(type='minmax'))),
        )
        freeze_regions(plain, config(), {'backbone': plan})
    net, cfg, records = searched(module, batches)
    with torch.no_grad():
        expected = module(x)
        analyse(net, cfg, records, net, batches)
        plans = assign(net, cfg, records)
        freeze_regions(net, cfg, plans)
        assert sqnr(expected, net(x)) > sqnr(expected, plain(x)) + 3


def test_every_narrow_value_of_a_vit_is_searched():
    x = images(2, 3, 32, 32)
    _, cfg, records = searched(vit(), [x], bits=8)
    record = records['backbone']
    assert set(record.clipping) == set(narrow_values(record))
    assert set(record.clipping.values()) <= set(SHARES)
    kinds = {record.operations.get(v, 'input') for v in record.clipping}
    assert kinds == {'input', 'linear', 'gelu', 'layer_norm', 'matmul'}
    planner = Planner(record, cfg)
    for value, share in record.clipping.items():
        if value in record.operations:
            assert planner.qparams(value, 8) == planner.clipped(value, share)


@pytest.mark.parametrize('share', SHARES)
def test_clipped_quantizers_cover_what_they_say(share):
    net, cfg, records = searched(harmless(), [rows(seed=1)], bits=8)
    record = records['backbone']
    planner, seen = Planner(record, cfg), record.values['input:0']
    q = planner.clipped('input:0', share)
    largest = max(-seen.minimum, seen.maximum)
    assert q.qmax - q.qmin <= 255 and q.qmin <= 0 <= q.qmax
    assert max(-q.qmin, q.qmax) * q.scale == pytest.approx(share * largest, rel=0.02)


def test_gradients_are_gone_afterwards():
    module = vit()
    searched(module, [images(2, 3, 32, 32)])
    assert torch.is_grad_enabled()
    assert all(p.grad is None for p in module.parameters())
