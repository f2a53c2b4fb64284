"""Powers of two between the channels of the residual stream."""

import copy
import io

import pytest
import torch
from equalization_cases import WIDE, computed, equalized, error, magnitudes, uneven
from hypothesis import given, settings
from hypothesis import strategies as st
from region_models import (
    Custom,
    Net,
    bound,
    config,
    deit,
    images,
    mmdet_swin,
    mmpretrain_swin,
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
    freeze_regions,
    observe,
)
from iptq_mm.intmath import QParams
from iptq_mm.modes import Fake
from iptq_mm.modes.base import amplified
from iptq_mm.plan import PlanError, RegionPlan
from iptq_mm.qtensor import QTensor
from iptq_mm.record import RegionRecord

CFG = dict(type='power_of_two')
BATCHES = [images(2, 3, 32, 32, seed=s) for s in range(2)]
X = images(4, 3, 32, 32, seed=9)


@pytest.fixture(autouse=True)
def repeatable():
    torch.manual_seed(0)
    with torch.no_grad():
        yield


def outlier(model=vit, size=10):
    """A model with one channel of the stream that is far wider than the others."""
    module = model()
    for name, parameter in module.named_parameters():
        if name == 'pos_embed' or name.endswith(('proj.bias', 'layers.1.bias')):
            parameter[..., 5] = size + parameter[..., 5].abs()
    return module


class Stream(Custom):
    """A residual stream in small: ``first``, ``p`` and ``branch`` write to it."""

    def __init__(self, body=None, **parts):
        layers = dict(branch=nn.Linear(16, 16), norm2=nn.LayerNorm(16))
        super().__init__(body, **{**layers, **parts})
        uneven(self, 'p')
        with torch.no_grad():
            self.p += 2 ** torch.linspace(-2, 3, 16)

    def forward(self, x):
        x = self.first(x) + self.p
        if self.body:
            return self.body(self, x)
        return self.last(self.norm(x + self.branch(self.norm2(x))))


ROWS = [rows(seed=s) for s in range(3)]
SUM, AGAIN = '/add:0', '/add:1'


def expected_powers(widths, most):
    """One channel at a time: halve the widest until it meets the others."""
    powers = []
    for width in widths.tolist():
        power, ratio = most, width / float(widths.max())
        while power and ratio <= 0.5:
            ratio, power = 2 * ratio, power - 1
        powers.append(power)
    return [p - min(powers) for p in powers]


@pytest.mark.parametrize('most', [1, 3, 5])
def test_powers_follow_the_ranges(most):
    module = Stream()
    before = magnitudes(equalized(module, ROWS)[0], ROWS)
    net, done = equalized(module, ROWS, dict(CFG, max_power=most))
    norms = [before[s] / before[s].max() for s in (SUM, AGAIN)]
    powers = expected_powers(sum(norms), most)
    assert 0 < max(powers) <= most and len(set(powers)) > 1
    assert done.powers['backbone'] == {
        'norm2/layer_norm:0': powers,
        'norm/layer_norm:0': powers,
    }
    assert done.sites == {'power_of_two': 2}


def test_whatever_writes_to_the_stream_is_divided():
    module = Stream()
    net, done = equalized(module, ROWS, CFG)
    by = 2.0 ** -torch.tensor(done.powers['backbone']['norm/layer_norm:0'])
    for layer in ('first', 'branch'):
        real, made = (m.get_submodule(layer) for m in (module, net.backbone))
        assert torch.equal(made.weight, real.weight * by[:, None])
        assert torch.equal(made.bias, real.bias * by)
    assert torch.equal(net.backbone.p, module.p * by)
    for name in ('last.weight', 'norm.weight', 'norm2.bias'):
        assert torch.equal(net.backbone.get_parameter(name), module.get_parameter(name))


def test_ranges_come_together():
    """No channel of a single input is above the widest one, less 2**K."""
    module = Stream(lambda self, x: self.last(self.norm(x)))
    before = magnitudes(equalized(module, ROWS)[0], ROWS)[SUM]
    net, done = equalized(module, ROWS, CFG)
    powers = torch.tensor(done.powers['backbone']['norm/layer_norm:0'])
    after = before / 2.0**powers
    assert powers.min() == 0 and powers.max() > 1
    assert after.max() == before.max() / 2.0 ** powers.max()
    assert (after[powers > 0] > after.max() / 2).all()
    # The steps of a channel are its power times those of all.
    assert (after.max() * 2.0**powers <= before.max()).all()


@pytest.mark.parametrize(
    ('model', 'sites'),
    [(vit, 5), (deit, 5), (mmpretrain_swin, 12), (mmdet_swin, 12)],
)
def test_float_outputs_stay_to_the_bit(model, sites):
    """Factors are powers of two, which floats multiply by without rounding."""
    module = outlier(model)
    net, done = equalized(module, BATCHES, CFG)
    assert done.sites == {'power_of_two': sites}
    assert len(done.powers['backbone']) == sites
    original = Net(module)
    unequalized = equalized(module, BATCHES)[1]
    for x in (X, images(1, 3, 48, 40, seed=7)):
        expected = computed(original, unequalized, x)
        assert same(expected, computed(net, done, x))
        assert error(module(x), expected) < 1e-5
    # Without the powers it is another model.
    assert error(module(X), net(X)) > 1e-3


def test_merged_patches_read_each_channel_four_times():
    net, done = equalized(outlier(mmdet_swin), BATCHES, CFG)
    powers = done.powers['backbone']
    merging = torch.tensor(powers['stages.0.downsample.norm/layer_norm:0'])
    block = powers['stages.0.blocks.1.norm2/layer_norm:0']
    assert merging.view(-1, 4).tolist() == [[p] * 4 for p in block]


def test_a_linear_reader_has_the_factors_in_its_weights():
    module = Stream(lambda self, x: self.branch(self.norm(x)) + self.last(x))
    net, done = equalized(module, ROWS, CFG)
    (powers,) = done.powers['backbone'].values()
    by = 2.0 ** torch.tensor(powers)
    assert torch.equal(net.backbone.last.weight, module.last.weight * by)
    assert error(module(ROWS[0]), computed(net, done, ROWS[0])) < 1e-6


def test_a_layer_norm_writes_to_the_stream():
    module = Stream(
        lambda self, x: self.last(self.norm(x + self.branch(self.norm2(x)) * 2)),
        first=nn.Sequential(nn.Linear(8, 16), nn.LayerNorm(16)),
    )
    net, done = equalized(module, ROWS, CFG)
    by = 2.0 ** -torch.tensor(done.powers['backbone']['norm/layer_norm:0'])
    real, made = module.first[1], net.backbone.first[1]
    assert torch.equal(made.weight, real.weight * by) and by.min() < 1
    assert torch.equal(made.bias, real.bias * by)
    assert error(module(ROWS[0]), computed(net, done, ROWS[0])) < 1e-6


def test_twice_is_once_with_more_powers():
    """What the first one left is what the second one goes by."""
    module = Stream(lambda self, x: self.last(self.norm(x)))
    cfg = dict(CFG, max_power=1)
    once, first = equalized(module, ROWS, cfg)
    net, both = equalized(module, ROWS, cfg, cfg)
    (first,), (powers,) = (d.powers['backbone'].values() for d in (first, both))
    left = magnitudes(once, ROWS)[SUM]
    second = expected_powers(left / left.max(), 1)
    assert powers == [a + b for a, b in zip(first, second, strict=True)]
    assert max(powers) == 2
    assert error(module(ROWS[0]), computed(net, both, ROWS[0])) < 1e-6


def body(function):
    return lambda self, x: self.last(self.norm(x)) + function(self, x)


REFUSED = {
    'a function': body(lambda self, x: nn.functional.gelu(x)),
    'a product': body(lambda self, x: x * self.p),
    'attention': body(lambda self, x: (x @ x.mT).softmax(-1) @ x),
    'scores': body(lambda self, x: (x @ x.mT).softmax(-1) @ self.norm2(x)),
    'the output of the region': lambda self, x: (self.last(self.norm(x)), x),
    'an input of the region': lambda self, x: self.last(self.norm(x + self.given)),
    'a sum with other channels': body(lambda self, x: self.branch(x + x.flip(-1))),
    'a mean': body(lambda self, x: x.mean(1, keepdim=True)),
    'a parameter used elsewhere': body(lambda self, x: self.branch(self.p)),
    'a parameter computed with': body(lambda self, x: self.p * self.norm2.bias),
    'a writer that is called again': body(lambda self, x: self.first(x[..., :8])),
    'writers of shared weights': lambda self, x: self.last(
        self.norm(x + self.branch(self.norm2(x)) + self.tied(self.norm2(x)))
    ),
    'a linear reader that is called twice': body(
        lambda self, x: self.branch(self.branch(x))
    ),
    'a reader of shared weights': lambda self, x: (
        self.branch(self.last(self.norm(x))) + self.tied(x)
    ),
    'linear layers only': lambda self, x: self.last(x),
}


@pytest.mark.parametrize('name', REFUSED)
def test_refused(name):
    class Given(Stream):
        def forward(self, x):
            self.given = x[..., :1]
            return super().forward(x)

    module = Given(REFUSED[name], tied=nn.Linear(16, 16))
    module.tied.weight = module.branch.weight
    net, done = equalized(module, ROWS, CFG)
    assert done.sites == {'power_of_two': 0} and done.powers == {'backbone': {}}
    for parameter, after in zip(
        module.parameters(), net.backbone.parameters(), strict=True
    ):
        assert torch.equal(parameter, after)


def test_nothing_to_do_where_channels_are_alike():
    module = Stream()
    module.p.fill_(10)
    assert equalized(module, ROWS, CFG)[1].sites == {'power_of_two': 0}


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
    assert plan.powers == record.powers != {}
    with bound(net.backbone, Fake(plan)):
        fake = net(X)
    integers = frozen(net, plan, cfg)(X)
    assert sqnr(integers, fake) > sqnr(module(X), fake) > 15
    # Both go wrong without: the powers count in each.
    for site in plan.sites.values():
        site.input_powers = None
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
    """Constants are for the amplified input, of up to 16 bits."""
    module = outlier()
    _, record, _ = quantized(module, CFG, wide=dict(bits=13))
    _, plain, _ = quantized(module, wide=dict(bits=13))
    assert not record.refused and record.powers
    for site in record.powers:
        ours, theirs = (r.candidates[site]['ibert_layernorm'] for r in (record, plain))
        assert ours.input_sqnr_db > theirs.input_sqnr_db + 3
        # Outputs of 8 bits gain little, the region's output of 13 bits does.
        gain = ours.sqnr_db - theirs.sqnr_db
        assert gain > (3 if site == 'ln1/layer_norm:0' else -0.1)


def test_candidates_are_refused_by_the_bits_after_powers():
    module = outlier()
    net, done = equalized(module, BATCHES, CFG)
    cfg = config(wide=dict(bits=14))
    records = observe(net, cfg, net, BATCHES, done.powers)
    analyse(net, cfg, records, net, BATCHES)
    refused = records['backbone'].refused
    assert refused.keys() == done.powers['backbone'].keys()
    assert '17' in refused['ln1/layer_norm:0']['ibert_layernorm']


def test_plans_and_records_keep_powers():
    net, record, cfg = quantized(outlier(), CFG)
    plan = assign(net, cfg, {'backbone': record})['backbone']
    again = RegionPlan.from_tensor(plan.to_tensor())
    assert again.to_dict() == plan.to_dict() and again.powers == record.powers
    assert same(frozen(net, plan, cfg)(X), frozen(net, again, cfg)(X))
    file = io.BytesIO()
    torch.save(record.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert RegionRecord.from_state_dict(state).powers == record.powers
    merged = RegionRecord()
    merged.merge(record)
    assert merged.powers == record.powers


def test_old_plans_and_records_have_none():
    net, record, cfg = quantized(vit())
    plan = assign(net, cfg, {'backbone': record})['backbone']
    data = plan.to_dict()
    assert not any('input_powers' in site for site in data['sites'].values())
    assert RegionPlan.from_dict(data).powers == {}
    state = record.state_dict()
    del state['powers']
    assert RegionRecord.from_state_dict(state).powers == {}


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
def test_amplified_integers_are_exact(limits, powers, seed):
    """At the ends of int8 and int16, too, beyond which the shift goes."""
    low, high = limits
    generator = torch.Generator().manual_seed(seed)
    q = torch.randint(low, high + 1, (2, 3, 4), generator=generator)
    q[0, 0], q[0, 1] = low, high
    qparams = QParams(0.37, low, high)
    narrow = torch.int8 if high < 128 else torch.int16
    x = amplified(QTensor(q.to(narrow), qparams, 'a'), powers)
    factors = torch.tensor([2**p for p in powers])
    assert torch.equal(x.payload.long(), q * factors)
    most = 2 ** max(powers)
    assert x.qparams == QParams(0.37, low * most, high * most)
    assert x.qparams.qmin <= int(x.payload.min())
    assert int(x.payload.max()) <= x.qparams.qmax
    assert x.source == 'a'
    # Floats, with and without a quantizer.
    real = amplified(QTensor(qparams.dequantize(q), qparams), powers)
    assert torch.equal(real.payload, qparams.dequantize(q) * factors)
    assert real.qparams == x.qparams
    assert amplified(QTensor(q.float()), powers).qparams is None
