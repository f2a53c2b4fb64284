"""Powers of two from the ranges to the integers: records, plans, every mode."""

import copy
import io

import pytest
import torch
from equalization_cases import WIDE, Stream, equalized, outlier
from hypothesis import given, settings
from hypothesis import strategies as st
from region_models import bound, config, images, mmdet_swin, rows, same, sqnr, vit

from iptq_mm.calibration import (
    ConfigError,
    analyse,
    assign,
    freeze_regions,
    observe,
)
from iptq_mm.intmath import QParams
from iptq_mm.modes import Fake
from iptq_mm.modes.base import shift_channels
from iptq_mm.plan import PlanError, RegionPlan
from iptq_mm.qtensor import QTensor
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


def test_candidates_are_refused_by_the_bits_after_powers():
    module = outlier()
    net, done = equalized(module, BATCHES, CFG)
    most = max(max(powers) for powers in done.powers['backbone'].values())
    cfg = config(wide=dict(bits=17 - most))
    records = observe(net, cfg, net, BATCHES, done.powers)
    analyse(net, cfg, records, net, BATCHES)
    refused = records['backbone'].refused
    assert refused.keys() == done.powers['backbone'].keys()
    assert '17' in refused['ln1/layer_norm:0']['ibert_layernorm']


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


@pytest.mark.parametrize(
    ('bits', 'powers'), [(14, [3]), (16, [1]), (9, [8]), (12, [3, 2])]
)
def test_layer_norm_takes_16_bits(bits, powers):
    cfgs = [dict(CFG, max_power=p) for p in powers]
    message = f'wide.bits={bits}: LayerNorm takes at most 16 bits.*adds {sum(powers)} '
    with pytest.raises(ConfigError, match=message):
        config(equalization=cfgs, wide=dict(bits=bits))
    most = 16 - sum(powers)
    assert config(equalization=cfgs, wide=dict(bits=most)).wide.bits == most


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from([(-127, 127), (-128, 127), (-4095, 4095), (-32767, 32767)]),
    st.lists(st.integers(0, 8), min_size=4, max_size=4),
    st.integers(0, 1000),
)
def test_shifted_integers_are_exact(limits, powers, seed):
    """At the ends of int8 and int16, too, beyond which the shift goes."""
    low, high = limits
    generator = torch.Generator().manual_seed(seed)
    q = torch.randint(low, high + 1, (2, 3, 4), generator=generator)
    q[0, 0], q[0, 1] = low, high
    qparams = QParams(0.37, low, high)
    narrow = torch.int8 if high < 128 else torch.int16
    x = shift_channels(QTensor(q.to(narrow), qparams, 'a'), powers)
    factors = torch.tensor([2**p for p in powers])
    assert torch.equal(x.payload.long(), q * factors)
    most = 2 ** max(powers)
    assert x.qparams == QParams(0.37, low * most, high * most)
    assert x.qparams.qmin <= int(x.payload.min())
    assert int(x.payload.max()) <= x.qparams.qmax
    assert x.source == 'a'
    # Floats, with and without a quantizer.
    real = shift_channels(QTensor(qparams.dequantize(q), qparams), powers)
    assert torch.equal(real.payload, qparams.dequantize(q) * factors)
    assert real.qparams == x.qparams
    assert shift_channels(QTensor(q.float()), powers).qparams is None
