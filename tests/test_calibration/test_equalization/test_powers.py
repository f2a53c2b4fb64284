"""Powers of two from the ranges to the integers: records, plans, every mode."""

import copy
import io

import pytest
import torch
from equalization_cases import WIDE, Stream, equalized, outlier
from region_models import bound, config, images, mmdet_swin, rows, same, sqnr, vit

from iptq_mm.calibration import (
    ConfigError,
    analyse,
    assign,
    freeze_regions,
    observe,
)
from iptq_mm.modes import Fake
from iptq_mm.plan import PlanError, RegionPlan
from iptq_mm.program import use_backend
from iptq_mm.program.audit import audit_model
from iptq_mm.record import RegionRecord

CFG = dict(type='power_of_two')
BATCHES = [images(2, 3, 32, 32, seed=s) for s in range(2)]
ROWS = [rows(seed=s) for s in range(3)]
X = images(4, 3, 32, 32, seed=9)


@pytest.fixture(autouse=True)
def repeatable():
    torch.manual_seed(0)
    with torch.no_grad():
        yield


def quantized(module, *equalizers, batches=BATCHES, wide=WIDE):
    """The calibrated float model, its record, and the config."""
    cfg = config(equalization=list(equalizers), wide=wide)
    net, done = equalized(module, batches, *equalizers)
    records = observe(net, cfg, net, batches, done.powers)
    analyse(net, cfg, records, net, batches)
    return net, records['backbone'], cfg


def frozen(net, plan, cfg):
    net = copy.deepcopy(net)
    freeze_regions(net, cfg, {'backbone': plan})
    return net


@pytest.mark.parametrize('model', [vit, mmdet_swin])
def test_integers_are_those_of_the_fake_quantized_model(model):
    module = outlier(model)
    net, record, cfg = quantized(module, CFG)
    plan = assign(net, cfg, {'backbone': record})['backbone']
    assert plan.channel_shifts == record.channel_shifts != {}
    with bound(net.backbone, Fake(plan)):
        fake = net(X)
    integers = frozen(net, plan, cfg)(X)
    assert sqnr(integers, fake) > sqnr(module(X), fake) > 15
    # Both go wrong without: the powers count in each.
    for site in plan.sites.values():
        site.input_shifts = None
    assert sqnr(module(X), frozen(net, plan, cfg)(X)) < 10
    with bound(net.backbone, Fake(plan)):
        assert sqnr(module(X), net(X)) < 10


def test_integers_of_a_layer_norm_are_the_fake_ones():
    """One site: equal to a step of its output."""
    module = Stream(lambda self, x: self.last(self.norm(x)))
    net, record, cfg = quantized(module, CFG, batches=ROWS)
    plan = assign(net, cfg, {'backbone': record})['backbone']
    with bound(net.backbone, Fake(plan)):
        fake = net(ROWS[0])
    step = plan.sites['last/linear:0'].output.scale
    assert (frozen(net, plan, cfg)(ROWS[0]) - fake).abs().max() < 1.01 * step


def test_an_outlier_costs_less():
    module = outlier(size=40)
    plain, powers = (
        frozen(net, assign(net, cfg, {'backbone': record})['backbone'], cfg)
        for net, record, cfg in (quantized(module), quantized(module, CFG))
    )
    assert sqnr(module(X), powers(X)) > sqnr(module(X), plain(X)) + 4


def test_candidates_see_what_the_integers_will_be():
    """Constants are for the input with shifted channels, of up to 16 bits."""
    module = outlier()
    _, record, _ = quantized(module, CFG, wide=dict(bits=13))
    _, plain, _ = quantized(module, wide=dict(bits=13))
    assert not record.refused and record.channel_shifts
    for site in record.channel_shifts:
        ours, theirs = (r.candidates[site]['ibert_layernorm'] for r in (record, plain))
        assert ours.input_sqnr_db > theirs.input_sqnr_db + 3
        # Outputs of 8 bits gain little, the region's output of 13 bits does.
        gain = ours.sqnr_db - theirs.sqnr_db
        assert gain > (3 if site == 'ln1/layer_norm:0' else -0.1)


@pytest.mark.parametrize('bits', [14, 15, 16])
def test_bits_that_layer_norm_does_not_take_are_dropped(bits):
    """No candidate is refused, and the integers are those of every back end."""
    wide = dict(bits=bits)
    module = outlier(size=40)
    net, record, cfg = quantized(module, CFG, wide=wide)
    assert not record.refused and record.channel_shifts
    assert any(max(powers) + bits > 16 for powers in record.channel_shifts.values())
    plan = assign(net, cfg, {'backbone': record})['backbone']
    with bound(net.backbone, Fake(plan)):
        fake = net(X)
    net = frozen(net, plan, cfg)
    integers = net(X)
    assert sqnr(integers, fake) > sqnr(module(X), fake)
    plain, record, cfg = quantized(module, wide=wide)
    plan = assign(plain, cfg, {'backbone': record})['backbone']
    without = sqnr(module(X), frozen(plain, plan, cfg)(X))
    assert sqnr(module(X), integers) > without - 0.5
    assert audit_model(net, lambda: net(X)).holds
    for backend in ('reference', 'native', 'onnx'):
        use_backend(net, backend)
        assert same(net(X), integers)


def test_plans_and_records_keep_powers():
    net, record, cfg = quantized(outlier(), CFG)
    plan = assign(net, cfg, {'backbone': record})['backbone']
    again = RegionPlan.from_tensor(plan.to_tensor())
    assert (
        again.to_dict() == plan.to_dict()
        and again.channel_shifts == record.channel_shifts
    )
    assert same(frozen(net, plan, cfg)(X), frozen(net, again, cfg)(X))
    file = io.BytesIO()
    torch.save(record.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert RegionRecord.from_state_dict(state).channel_shifts == record.channel_shifts
    merged = RegionRecord()
    merged.merge(record)
    assert merged.channel_shifts == record.channel_shifts


def test_old_plans_and_records_have_none():
    net, record, cfg = quantized(vit())
    plan = assign(net, cfg, {'backbone': record})['backbone']
    data = plan.to_dict()
    assert not any('input_powers' in site for site in data['sites'].values())
    assert RegionPlan.from_dict(data).channel_shifts == {}
    state = record.state_dict()
    del state['powers']
    assert RegionRecord.from_state_dict(state).channel_shifts == {}


@pytest.mark.parametrize('powers', [[-1], [16], [1.0], ['1'], 3])
def test_damaged_powers(powers):
    net, record, cfg = quantized(vit())
    data = assign(net, cfg, {'backbone': record})['backbone'].to_dict()
    data['sites']['ln1/layer_norm:0']['input_powers'] = powers
    with pytest.raises(PlanError, match='damaged'):
        RegionPlan.from_dict(data)


@pytest.mark.parametrize('power', [0, -1, 9, 1.5, '3'])
def test_largest_power(power):
    with pytest.raises(ConfigError, match='an integer from 1 to 8'):
        config(equalization=[dict(CFG, max_power=power)], wide=WIDE)
