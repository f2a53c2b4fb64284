"""Whole-model analysis of several regions: errors pass from one to the next."""

import pytest
import torch
from region_models import SEVERAL, Custom, config, rows
from torch import nn

from iptq_mm.calibration import ConfigError, analyse_whole_model, assign, observe
from iptq_mm.modes import regions_in

pytestmark = pytest.mark.usefixtures('no_grad')


class Two(nn.Module):
    """A region that feeds another one; a layer without choices runs first."""

    def __init__(self):
        super().__init__()
        self.stem = Custom(lambda self, x: self.last(x))
        self.stem.norm = nn.Identity()
        self.backbone = Custom(lambda self, x: self.last(x))
        self.backbone.first = nn.Linear(16, 16)
        self.head = Custom(lambda self, x: nn.functional.gelu(self.last(x)))
        self.head.first = nn.Linear(16, 16)

    def forward(self, x):
        return self.head(self.backbone(self.stem(x)))


def test_errors_pass_from_region_to_region():
    torch.manual_seed(0)
    net, batches = Two().eval(), [rows(seed=s) for s in range(3)]
    regions = ['stem', 'backbone', 'head']
    cfg = config(SEVERAL, analysis='whole-model', regions=regions)
    records = observe(net, cfg, net, batches)
    analyse_whole_model(net, cfg, records, net, batches)
    inputs = [
        records[name].candidates['norm/layer_norm:0']['ibert_layernorm'].input_sqnr_db
        for name in regions[1:]
    ]
    assert 50 > inputs[0] > inputs[1]
    rough = config(
        SEVERAL, analysis='whole-model', regions=regions, activation=dict(bits=4)
    )
    analyse_whole_model(net, rough, records, net, batches)
    first = records['backbone'].candidates['norm/layer_norm:0']['ibert_layernorm']
    assert first.input_sqnr_db < inputs[0] - 10
    assert set(assign(net, rough, records)) == set(regions)


class Selecting(nn.Module):
    """A region whose rows depend on what another one computes, as boxes do."""

    def __init__(self):
        super().__init__()
        self.backbone = Custom(lambda self, x: self.last(x))
        self.head = Custom(lambda self, x: self.last(x))
        self.head.first = nn.Linear(16, 16)

    def forward(self, x):
        y = self.backbone(x)
        # As many rows as there are values that one of the models has and not the other.
        scores = y.flatten()
        kept = int((scores * 1e4).sum().abs()) % 7
        return self.head(y[:, : 1 + kept])


def test_rows_that_the_model_selects():
    net, batches = Selecting().eval(), [rows(4, 9, seed=s) for s in range(3)]
    cfg = config(SEVERAL, analysis='whole-model', regions=['backbone', 'head'])
    records = observe(net, cfg, net, batches)
    with pytest.raises(ConfigError, match="region 'head'.*use analysis='site'"):
        analyse_whole_model(net, cfg, records, net, batches)
    assert regions_in(net) == {}
