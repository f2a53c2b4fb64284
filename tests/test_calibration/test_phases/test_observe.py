"""What every site sees, and what cannot be quantized: that is said, and why."""

import pytest
import torch
from region_models import Custom, Net, config, images, plain_net, rows
from torch import nn

from iptq_mm.calibration import ConfigError, check_observed, observe
from iptq_mm.modes import regions_in
from iptq_mm.qtensor import UnsupportedOperationError

pytestmark = pytest.mark.usefixtures('no_grad')


def test_bad_activations_name_the_site():
    net = plain_net()
    with pytest.raises(ValueError, match=r"site 'input:0'.*nan"):
        observe(net, config(), net, [rows() * torch.nan])
    net.backbone.norm.weight.fill_(3e38)
    with pytest.raises(ValueError, match=r"site 'norm/layer_norm:0'.*inf"):
        observe(net, config(), net, [rows()])
    assert regions_in(net) == {}


def test_empty_calibration():
    net = plain_net()
    with pytest.raises(ConfigError, match=r"'backbone' never ran .* empty"):
        check_observed(observe(net, config(), net, []))


def test_region_that_is_never_used():
    net = plain_net()
    net.other = nn.Linear(2, 2)
    with pytest.raises(ConfigError, match=r"'other' never ran .*unused"):
        check_observed(
            observe(net, config(regions=['backbone', 'other']), net, [rows()])
        )


class ConvNet(nn.Module):
    def __init__(self, pool):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.pool = nn.MaxPool2d(3, dilation=2) if pool else nn.Identity()

    def forward(self, x):
        return self.pool(self.conv(x))


def test_no_transformer_in_the_region():
    net = Net(ConvNet(pool=False))
    with pytest.raises(ConfigError, match='neither Softmax nor GELU nor LayerNorm'):
        check_observed(observe(net, config(), net, [images(1, 3, 8, 8)]))
    net = Net(nn.Linear(8, 4))
    with pytest.raises(ConfigError, match='no transformer in the regions'):
        check_observed(observe(net, config(), net, [rows()]))


def test_layers_without_a_function():
    net = Net(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3)))
    check_observed(observe(net, config(), net, [images(1, 3, 8, 8)]))


def test_what_has_no_rule():
    net = Net(ConvNet(pool=True)).eval()
    with pytest.raises(UnsupportedOperationError) as caught:
        observe(net, config(), net, [images(1, 3, 8, 8)])
    message = str(caught.value)
    assert 'pooling with dilation' in message and "module 'pool'" in message
    assert 'smaller region' in message
    assert regions_in(net) == {} and type(net.backbone) is ConvNet


def test_a_region_that_is_called_twice():
    class Model(Net):
        def forward(self, x):
            return self.backbone(x) + self.backbone(-2 * x)

    net = Model(Custom(lambda self, x: self.last(x)))
    records = observe(net, config(), net, [rows(seed=s) for s in range(3)])
    assert records['backbone'].values['input:0'].count == 6 * rows().numel()
    assert list(records['backbone'].operations) == [
        'first/linear:0',
        'norm/layer_norm:0',
        'last/linear:0',
    ]
