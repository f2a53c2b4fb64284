"""LayerNorm's ranges, moved into the next weights."""

import pytest
import torch
from equalization_cases import equalized, error, magnitudes, uneven
from region_models import Custom, deit, images, mmdet_swin, mmpretrain_swin, rows, vit
from torch import nn

from iptq_mm.calibration import ConfigError
from iptq_mm.calibration.equalization.base import LIMIT

CFG = dict(type='layer_norm')
NORM, LAST = 'norm/layer_norm:0', 'last/linear:0'


@pytest.fixture(autouse=True)
def repeatable():
    torch.manual_seed(0)
    with torch.no_grad():
        yield


def plain(**parts):
    return uneven(Custom(lambda self, x: self.last(x), **parts), 'norm.weight')


BATCHES = [rows(seed=s) for s in range(3)]


def ranges(module, batches=BATCHES):
    """Low and high of the channels at the LayerNorm."""
    x = torch.cat([module.norm(module.first(b)).flatten(0, 1) for b in batches])
    return x.amin(0), x.amax(0)


def test_all_channels_span_minus_one_to_one():
    net, done = equalized(plain(), BATCHES, CFG)
    assert done.sites == {'layer_norm': 1} and done.powers == {'backbone': {}}
    low, high = ranges(net.backbone)
    torch.testing.assert_close(low, -torch.ones(16), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(high, torch.ones(16), rtol=1e-5, atol=1e-5)


def _put_together(self, x):
    """As the bias of queries, keys and values in BEiT."""
    bias = torch.cat([self.last.bias[:4], torch.zeros(8), self.last.bias[12:]])
    return nn.functional.linear(x, self.last.weight, bias)


@pytest.mark.parametrize(
    'body', [_put_together, lambda self, x: self.last(x) + self.last.bias]
)
def test_a_bias_that_nothing_can_be_moved_into(body):
    module = uneven(Custom(body, last=nn.Linear(16, 16)), 'norm.weight')
    net, done = equalized(module, BATCHES, CFG)
    assert done.sites == {'layer_norm': 1}
    assert torch.equal(net.backbone.last.bias, module.last.bias)
    low, high = ranges(net.backbone)
    largest = torch.maximum(-low, high)
    torch.testing.assert_close(largest, torch.ones(16), rtol=1e-5, atol=1e-5)
    assert 0 < error(module(BATCHES[0]), net(BATCHES[0])) < 1e-6


def test_a_weight_that_others_use_stays():
    def body(self, x):
        bias = torch.cat([self.last.bias[:8], torch.zeros(8)])
        made = nn.functional.linear(x, self.last.weight, bias)
        return made + nn.functional.linear(self.last.weight, self.last.weight)[0]

    module = uneven(Custom(body, last=nn.Linear(16, 16)), 'norm.weight')
    assert equalized(module, BATCHES, CFG)[1].sites == {'layer_norm': 0}


@pytest.mark.parametrize('shift', [True, False])
@pytest.mark.parametrize('strength', [0.3, 1.0])
@pytest.mark.parametrize(
    ('model', 'sites', 'size'),
    [(vit, 4, 32), (deit, 4, 32), (mmpretrain_swin, 9, 32), (mmdet_swin, 9, 40)],
)
def test_outputs_stay(model, sites, size, strength, shift):
    """Every LayerNorm but those whose output leaves the region or is added."""
    batches = [images(2, 3, size, size, seed=s) for s in range(2)]
    module = model()
    names = [n for n, _ in module.named_parameters() if 'norm1.weight' in n]
    uneven(module, *names, powers=1)
    net, done = equalized(module, batches, dict(CFG, strength=strength, shift=shift))
    assert done.sites == {'layer_norm': sites}
    x = images(2, 3, 32, 48, seed=9)
    assert 0 < error(module(x), net(x)) < 1e-5


def test_equal_magnitudes_in_a_real_architecture():
    batches = [images(2, 3, 32, 32, seed=s) for s in range(2)]
    net, _ = equalized(vit(), batches, CFG)
    after = magnitudes(net, batches)
    for block in (0, 1):
        for norm in ('ln1', 'ln2'):
            seen = after[f'layers.{block}.{norm}/layer_norm:0']
            torch.testing.assert_close(seen, torch.ones_like(seen), rtol=1e-4, atol=0)


def test_strength_weighs_ranges_against_weights():
    """SmoothQuant, eq. 4: s**strength over the weights' magnitude to the rest."""
    strength, module = 0.4, plain()
    low, high = ranges(module)
    net, _ = equalized(module, BATCHES, dict(CFG, strength=strength, shift=False))
    amax = torch.maximum(low.abs(), high.abs())
    weights = module.last.weight.abs().amax(0)
    factor = amax**strength / weights ** (1 - strength)
    torch.testing.assert_close(
        net.backbone.norm.weight, module.norm.weight / factor, rtol=1e-4, atol=1e-6
    )
    torch.testing.assert_close(
        net.backbone.last.weight, module.last.weight * factor, rtol=1e-4, atol=1e-6
    )


def test_only_outliers_get_factors():
    """Columns of the weight keep their ratios but for those of outliers."""
    module = Custom(lambda self, x: self.last(x))
    module.norm.weight[5] *= 200
    net, done = equalized(module, BATCHES, dict(CFG, shift=False, beyond=8.0))
    assert done.sites == {'layer_norm': 1}
    by = net.backbone.last.weight / module.last.weight
    both = dict(CFG, shift=False, beyond=8.0, strength=0.5)
    half = equalized(module, BATCHES, both)[0].backbone.last.weight
    assert len((half / module.last.weight)[0].round(decimals=3).unique()) == 2
    others = torch.arange(by.shape[1]) != 5
    torch.testing.assert_close(
        by[:, others], by[:1, :1].expand(16, 15), rtol=1e-4, atol=0
    )
    assert by[0, 5] > 8 * by[0, 0]
    assert 0 < error(module(BATCHES[0]), net(BATCHES[0])) < 1e-5


def test_nothing_changes_without_outliers():
    module = Custom(lambda self, x: self.last(x))
    net, done = equalized(module, BATCHES, dict(CFG, beyond=100.0))  # nor by the middle
    assert not done.sites.get('layer_norm')
    for new, old in zip(net.backbone.parameters(), module.parameters(), strict=True):
        assert torch.equal(new, old)


@pytest.mark.parametrize('strength', [0, -0.5, 1.01, 2])
def test_strength_is_above_0_and_at_most_1(strength):
    with pytest.raises(ConfigError, match=f'above 0 and at most 1, not {strength}'):
        equalized(plain(), BATCHES, dict(CFG, strength=strength))


def zeros_beside(self, x):
    return self.last(nn.functional.pad(x, (0, 0, 0, 2)))


STAYS = {
    'zeros beside': zeros_beside,
    'a reader without bias': lambda self, x: self.last(x) + self.other(x),
}


@pytest.mark.parametrize('name', STAYS)
def test_the_middle_stays_where_it_cannot_move(name):
    module = Custom(STAYS[name], other=nn.Linear(16, 16, bias=False))
    net, done = equalized(module, BATCHES, CFG)
    assert done.sites == {'layer_norm': 1}
    low, high = ranges(net.backbone)
    amax = torch.maximum(low.abs(), high.abs())
    torch.testing.assert_close(amax, torch.ones(16), rtol=1e-5, atol=0)
    assert (low + high).abs().max() > 0.1
    assert error(module(BATCHES[0]), net(BATCHES[0])) < 1e-5


def test_a_reader_of_a_multiple():
    """The bias gets what the middle amounts to there."""
    module = Custom(lambda self, x: self.last(-3 * x))
    module.norm.bias += 2
    net, done = equalized(module, BATCHES, CFG)
    assert done.sites == {'layer_norm': 1}
    assert error(module(BATCHES[0]), net(BATCHES[0])) < 1e-5
    assert (net.backbone.last.bias - module.last.bias).abs().max() > 1


def test_a_reader_of_heads_and_of_a_part():
    def body(self, x):
        heads = x.unflatten(-1, (4, 4)).transpose(1, 2).flip(-1)
        return self.part(heads[:, 1]), self.last(heads.transpose(1, 2).flatten(-2))

    module = uneven(Custom(body, part=nn.Linear(4, 3)), 'norm.weight')
    net, done = equalized(module, BATCHES, CFG)
    assert done.sites == {'layer_norm': 1}
    assert error(module(BATCHES[0]), net(BATCHES[0])) < 1e-5


def test_a_channel_that_is_always_0_gets_a_factor_of_the_others():
    module = plain()
    module.norm.weight[3] = module.norm.bias[3] = 0
    net, _ = equalized(module, BATCHES, CFG)
    ratio = net.backbone.last.weight / module.last.weight
    assert torch.isfinite(ratio).all()
    assert ratio[0, 3] <= ratio.abs().amax()


def test_factors_are_limited():
    module = plain()
    module.norm.weight[3], module.norm.bias[3] = 1e-9, 0
    net, _ = equalized(module, BATCHES, CFG)
    factor = (net.backbone.last.weight / module.last.weight).mean(0)
    assert float(factor[3]) == pytest.approx(float(factor.median()) / LIMIT, rel=1e-3)


REFUSED = {
    'another function': lambda self, x: self.last(x) + x.softmax(-1),
    'the output': lambda self, x: (self.last(x), x),
    'a sum': lambda self, x: self.last(x) + x,
    'another LayerNorm': lambda self, x: self.last(x) + self.other(x),
    'a reader that is called twice': lambda self, x: self.last(self.last(x)),
    'weights of the reader are shared': lambda self, x: self.tied(self.last(x)),
    'norm used elsewhere': lambda self, x: self.last(x) + self.norm.bias,
    'called twice': lambda self, x: self.last(self.norm(self.tied(x))),
}


@pytest.mark.parametrize('name', REFUSED)
def test_refused(name):
    tied, other = nn.Linear(16, 16), nn.LayerNorm(16)
    module = Custom(REFUSED[name], tied=tied, other=other)
    if 'shared' in name:
        tied.weight = module.last.weight
    net, done = equalized(module, BATCHES, CFG)
    assert done.sites == {'layer_norm': 0}
    for parameter, after in zip(
        module.parameters(), net.backbone.parameters(), strict=True
    ):
        assert torch.equal(parameter, after)
