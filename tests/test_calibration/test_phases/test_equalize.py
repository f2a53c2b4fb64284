"""The phase that equalizes: all regions, any equalizers, the same float model."""

import copy

import pytest
import torch
from region_models import Custom, Net, config, images, mmdet_swin, rows, sqnr, vit
from torch import nn

from iptq_mm.calibration import ConfigError, channel_maps, channel_ranges, equalize
from iptq_mm.calibration.equalization import Equalizer
from iptq_mm.engine.quantize import phases
from iptq_mm.engine.quantize.model import quantize_model
from iptq_mm.plan import RegionPlan
from iptq_mm.registry import EQUALIZERS

pytestmark = pytest.mark.usefixtures('no_grad')

WIDE = dict(bits=13)
ALL = [dict(type=t) for t in ('power_of_two', 'attention', 'layer_norm')]
BATCHES = [images(2, 3, 32, 32, seed=s) for s in range(2)]


def run(net, cfg, batches=BATCHES):
    maps = channel_maps(net, cfg, net, batches)
    ranges = channel_ranges(net, maps, net, batches)
    return equalize(net, cfg, maps, ranges, net, batches)


def plain():
    return Net(Custom(lambda self, x: self.last(x)))


def test_ranges_are_of_all_batches():
    cfg = config(equalization=ALL, wide=WIDE)
    net = Net(vit()).eval()
    maps = channel_maps(net, cfg, net, BATCHES)
    (whole,) = channel_ranges(net, maps, net, BATCHES).values()
    parts = [
        channel_ranges(net, maps, net, BATCHES[i : i + 1])['backbone'] for i in range(2)
    ]
    parts[0].merge(parts[1])
    assert whole.values.keys() == parts[0].values.keys()
    assert {'layers.0.attn.qkv/linear:0', 'layers.1.ffn/add:0'} <= whole.values.keys()
    assert not any('softmax' in site or 'gelu' in site for site in whole.values)
    for site, seen in whole.values.items():
        assert torch.equal(seen, parts[0].values[site])
    assert not torch.equal(parts[1].values['/add:0'], whole.values['/add:0'])


@pytest.mark.parametrize('model', [vit, mmdet_swin])
@pytest.mark.parametrize('order', [ALL[1:], ALL[:0:-1], [ALL[1]] * 2])
def test_in_any_order_the_float_model_stays(model, order):
    module = model()
    net = Net(copy.deepcopy(module)).eval()
    done = run(net, config(equalization=order))
    assert done.sites.keys() == {cfg['type'] for cfg in order}
    assert all(done.sites.values()) and done.powers == {'backbone': {}}
    x = images(2, 3, 48, 40, seed=5)
    # 1e-5 of the outputs is 100 dB.
    assert 100 < sqnr(module(x), net(x)) < 200


def test_sites_add_up_over_equalizers_of_a_type():
    once = run(Net(vit()).eval(), config(equalization=[ALL[1]])).sites
    twice = run(Net(vit()).eval(), config(equalization=[ALL[1]] * 2)).sites
    assert once == {'attention': 4} and twice == {'attention': 8}


def test_the_same_ranges_give_the_same_parameters():
    """What a resumed run goes by."""
    cfg = config(equalization=ALL, wide=WIDE)
    nets = [Net(vit()).eval() for _ in range(2)]
    maps = [channel_maps(net, cfg, net, BATCHES) for net in nets]
    ranges = channel_ranges(nets[0], maps[0], nets[0], BATCHES)
    kept = ranges['backbone'].copy()
    first, second = (
        equalize(net, cfg, found, ranges, net, BATCHES[:1])
        for net, found in zip(nets, maps, strict=True)
    )
    assert first == second
    for site, seen in kept.values.items():
        assert torch.equal(seen, ranges['backbone'].values[site])
    for one, other in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert torch.equal(one, other)


def test_parameters_are_new_and_the_same_otherwise():
    net = plain()
    net.backbone.first.bias.requires_grad = False
    old = dict(net.named_parameters())
    values = {n: p.clone() for n, p in old.items()}
    run(net, config(equalization=[ALL[2]]), [rows()])
    new = dict(net.named_parameters())
    assert list(new) == list(old)
    for name, parameter in new.items():
        assert parameter is not old[name]
        assert torch.equal(old[name], values[name])  # others may share it
        assert parameter.dtype == old[name].dtype
        assert parameter.requires_grad == old[name].requires_grad
    assert not torch.equal(new['backbone.last.weight'], values['backbone.last.weight'])


def test_shared_parameters_stay_shared():
    net = Net(Custom(lambda self, x: self.again(self.last(x)), again=nn.Linear(16, 16)))
    net.backbone.again.weight = net.backbone.last.weight
    run(net, config(equalization=[ALL[2]]), [rows()])
    assert net.backbone.again.weight is net.backbone.last.weight


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = plain().backbone
        self.head = nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 3))

    def forward(self, x):
        return self.head(self.backbone(x))


def test_every_region_by_itself():
    net = Two().eval()
    expected, before = net(rows()), copy.deepcopy(net)
    cfg = config(regions=['backbone', 'head'], equalization=[ALL[2]])
    done = run(net, cfg, [rows()])
    assert done.sites == {'layer_norm': 2}
    assert done.powers == {'backbone': {}, 'head': {}}
    assert sqnr(expected, net(rows())) > 100
    run(before, config(regions=['head'], equalization=[ALL[2]]), [rows()])
    untouched = plain().backbone.state_dict()
    for name, value in before.backbone.state_dict().items():
        assert torch.equal(value, untouched[name])


class Wrong(Equalizer):
    """One that forgets the readers."""

    def equalize(self, region):
        region.scale_made('norm/layer_norm:0', torch.full((16,), 1.01))
        return 1


@pytest.fixture
def wrong():
    EQUALIZERS.register_module('wrong', module=Wrong)
    yield dict(type='wrong')
    del EQUALIZERS.module_dict['wrong']


def test_a_model_that_computes_something_else_is_an_error(wrong):
    message = r'changed what the float model computes \(by 0.0\d+ .*equalization=\[\]'
    with pytest.raises(RuntimeError, match=message):
        run(plain(), config(equalization=[wrong]), [rows()])


MISTAKES = {
    'type': (dict(type='smooth'), r"no equalizer 'smooth'; there are \['attention', "),
    'option': (dict(type='attention', strength=1), "equalizer .*'strength'"),
    'value': (dict(type='layer_norm', strength=0), 'equalizer .*above 0'),
    'text': ('layer_norm', 'no equalizer: write a dict with a type'),
}


@pytest.mark.parametrize('name', MISTAKES)
def test_mistakes(name):
    cfg, message = MISTAKES[name]
    with pytest.raises(ConfigError, match=message):
        config(equalization=[cfg])


class Model(Net):
    """What :func:`~iptq_mm.engine.quantize.model.quantize_model` takes."""

    def test_step(self, batch):
        return self(batch)


def model():
    module = vit()
    module.pos_embed[..., 5] += 20
    return Model(module).eval()


def no_phase(*args):
    raise AssertionError('this phase is finished')


def test_a_whole_run_has_powers():
    cfg = config(equalization=ALL, wide=WIDE)
    net = model()
    done = quantize_model(net, cfg, BATCHES)
    plan, record = done.plans['backbone'], done.records['backbone']
    assert (
        len(plan.channel_shifts) == 5 and plan.channel_shifts == record.channel_shifts
    )
    x = images(2, 3, 32, 32, seed=5)
    assert sqnr(model()(x), net(x)) > 20
    state = net.backbone.state_dict()['quantization_plan']
    assert RegionPlan.from_tensor(state).channel_shifts == plan.channel_shifts


@pytest.mark.parametrize('last', ['equalize', 'observe', 'analyse'])
def test_a_resumed_run_is_the_same(tmp_path, monkeypatch, last):
    cfg, file = config(equalization=ALL, wide=WIDE), tmp_path / 'state.pth'
    whole = quantize_model(model(), cfg, BATCHES)
    following = dict(equalize='observe', observe='analyse', analyse='assign')[last]
    with monkeypatch.context() as patch, pytest.raises(AssertionError):
        patch.setattr(phases, following, no_phase)
        quantize_model(model(), cfg, BATCHES, file)
    monkeypatch.setattr(phases, 'channel_ranges', no_phase)
    if last != 'equalize':
        monkeypatch.setattr(phases, 'observe', no_phase)
    again = quantize_model(model(), cfg, BATCHES, file, resume=True)
    assert again.plans['backbone'].to_dict() == whole.plans['backbone'].to_dict()


def test_outputs_of_zeros_are_no_error():
    net = plain()
    net.backbone.last.weight.zero_()
    net.backbone.last.bias.zero_()
    assert run(net, config(equalization=[ALL[2]]), [rows()]).sites == {'layer_norm': 1}
    assert not net(rows()).any()
