"""The phases on whole models: what cannot be quantized is said, and why."""

import copy

import pytest
import torch
from region_models import (
    CANDIDATES,
    SEVERAL,
    Custom,
    Net,
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

from iptq_mm.calibration import (
    ConfigError,
    analyse,
    assign,
    check_observed,
    check_regions,
    freeze_regions,
    observe,
)
from iptq_mm.modes import regions_in
from iptq_mm.qtensor import UnsupportedOperationError


@pytest.fixture(autouse=True)
def no_grad():
    with torch.no_grad():
        yield


def custom():
    return Net(Custom(lambda self, x: self.last(x)))


def test_unknown_region():
    with pytest.raises(ConfigError, match=r"no part 'neck' .*it has \['backbone'\]"):
        check_regions(custom(), config(regions=['neck']))
    with pytest.raises(ConfigError, match="no part ''"):
        check_regions(custom(), config(regions=['']))
    with pytest.raises(ConfigError, match="no part 'backbone.p'"):
        check_regions(custom(), config(regions=['backbone.p']))


def test_nested_region():
    with pytest.raises(ConfigError, match="'backbone.last' lies inside another"):
        check_regions(custom(), config(regions=['backbone.last', 'backbone']))


def test_region_quantized_already():
    net = quantized(custom().backbone, [rows()])
    with pytest.raises(ConfigError, match="'backbone' is quantized already"):
        check_regions(net, config())


@pytest.mark.parametrize('value', [torch.nan, torch.inf])
def test_bad_weights_name_the_parameter(value):
    net = custom()
    net.backbone.last.weight[1, 2] = value
    with pytest.raises(ValueError, match=r"'backbone.last.weight' holds NaN or inf"):
        check_regions(net, config())


def test_bad_activations_name_the_site():
    net = custom()
    with pytest.raises(ValueError, match=r"site 'input:0'.*nan"):
        observe(net, config(), net, [rows() * torch.nan])
    net.backbone.norm.weight.fill_(3e38)
    with pytest.raises(ValueError, match=r"site 'norm/layer_norm:0'.*inf"):
        observe(net, config(), net, [rows()])
    assert regions_in(net) == {}


def test_empty_calibration():
    net = custom()
    with pytest.raises(ConfigError, match=r"'backbone' never ran .* empty"):
        check_observed(observe(net, config(), net, []))


def test_region_that_is_never_used():
    net = custom()
    net.other = nn.Linear(2, 2)
    with pytest.raises(ConfigError, match=r"'other' never ran .*unused"):
        check_observed(
            observe(net, config(regions=['backbone', 'other']), net, [rows()])
        )


class ConvNet(nn.Module):
    def __init__(self, pool):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.pool = nn.MaxPool2d(3) if pool else nn.Identity()

    def forward(self, x):
        return self.pool(self.conv(x))


def test_no_transformer_in_the_region():
    net = Net(ConvNet(pool=False))
    with pytest.raises(ConfigError, match='neither Softmax nor GELU nor LayerNorm'):
        check_observed(observe(net, config(), net, [images(1, 3, 8, 8)]))
    net = Net(nn.Linear(8, 4))
    with pytest.raises(ConfigError, match='no transformer in the regions'):
        check_observed(observe(net, config(), net, [rows()]))


def test_a_convolutional_network():
    net = Net(ConvNet(pool=True)).eval()
    with pytest.raises(UnsupportedOperationError) as caught:
        observe(net, config(), net, [images(1, 3, 8, 8)])
    message = str(caught.value)
    assert 'pooling with kernel 3' in message and "module 'pool'" in message
    assert 'smaller region' in message
    assert regions_in(net) == {} and type(net.backbone) is ConvNet


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
    net = custom().train()
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


def test_quantization_is_reproducible():
    batches = [images(2, 3, 32, 32, seed=s) for s in range(2)]
    first, second = (
        calibrated(vit(), batches, config(SEVERAL))[1].to_dict() for _ in range(2)
    )
    assert first == second
    x = images(2, 3, 48, 32)
    one, other = (quantized(vit(), batches, config(SEVERAL)) for _ in range(2))
    assert same(one(x), other(x))


def test_analysis_can_be_done_again_with_other_candidates():
    net, cfg, batches = custom(), config(CANDIDATES), [rows()]
    records = observe(net, cfg, net, batches)
    analyse(net, cfg, records, net, batches)
    other = config({**CANDIDATES, 'layer_norm': [dict(type='ivit_layernorm')]})
    analyse(net, other, records, net, batches)
    plan = assign(net, other, records)['backbone']
    assert plan.sites['norm/layer_norm:0'].function == {'type': 'ivit_layernorm'}
