"""Powers of two between the channels of the residual stream."""

import pytest
import torch
from equalization_cases import Stream, computed, equalized, error, magnitudes, outlier
from region_models import (
    Net,
    deit,
    images,
    mmdet_swin,
    mmpretrain_swin,
    rows,
    same,
    vit,
)
from torch import nn

CFG = dict(type='power_of_two')
BATCHES = [images(2, 3, 32, 32, seed=s) for s in range(2)]
X = images(4, 3, 32, 32, seed=9)


@pytest.fixture(autouse=True)
def repeatable():
    torch.manual_seed(0)
    with torch.no_grad():
        yield


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
    'a parameter computed with': body(lambda self, x: self.norm2.bias * self.p),
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
