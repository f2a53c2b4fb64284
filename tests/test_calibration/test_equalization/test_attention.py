"""Ranges of queries, keys and values, balanced."""

import pytest
import torch
from equalization_cases import equalized, error, magnitudes, uneven
from region_models import Custom, deit, images, mmdet_swin, mmpretrain_swin, rows, vit
from torch import nn

from iptq_mm.calibration.equalization.attention import AttentionEqualizer

CFG = dict(type='attention')
BATCHES = [rows(seed=s) for s in range(3)]


@pytest.fixture(autouse=True)
def repeatable():
    torch.manual_seed(0)
    with torch.no_grad():
        yield


def heads(x, count=2):
    return x.unflatten(-1, (count, -1)).transpose(1, 2)


def attend(self, x):
    q, k, v = heads(self.q(x)), heads(self.k(x)), heads(self.v(x))
    scores = (q * 0.25 @ k.mT).softmax(-1)
    return self.last((scores @ v).transpose(1, 2).flatten(-2))


def attention(body=attend, **parts):
    """Attention with separate layers, of channels of very different ranges."""
    layers = {name: nn.Linear(16, 16) for name in 'qkv'}
    module = Custom(body, **{**layers, **parts})
    for name in 'qkv':
        uneven(module, f'{name}.bias', powers=2)
    return module


def test_queries_and_keys_have_the_same_ranges():
    module = attention()
    before = magnitudes(module_net(module), BATCHES)
    net, done = equalized(module, BATCHES, dict(CFG, values=False))
    assert done.sites == {'attention': 1} and done.powers == {'backbone': {}}
    after = magnitudes(net, BATCHES)
    q, k = after['q/linear:0'], after['k/linear:0']
    torch.testing.assert_close(q, k, rtol=1e-4, atol=0)
    # Each is the geometric mean of what they were.
    product = before['q/linear:0'] * before['k/linear:0']
    torch.testing.assert_close(q, product.sqrt(), rtol=1e-4, atol=0)
    assert (before['q/linear:0'] / before['k/linear:0']).log2().abs().max() > 0.5
    torch.testing.assert_close(after['v/linear:0'], before['v/linear:0'])
    assert 0 < error(module(BATCHES[0]), net(BATCHES[0])) < 1e-5


def module_net(module):
    return equalized(module, BATCHES)[0]


def test_values_are_as_wide_as_the_widest():
    module = attention()
    before = magnitudes(module_net(module), BATCHES)
    net, done = equalized(module, BATCHES, dict(CFG, products=False))
    assert done.sites == {'attention': 1}
    after = magnitudes(net, BATCHES)
    widest = before['v/linear:0'].max().expand(16)
    torch.testing.assert_close(after['v/linear:0'], widest, rtol=1e-4, atol=0)
    assert before['v/linear:0'].min() < 0.7 * widest[0]
    for name in 'qk':
        site = f'{name}/linear:0'
        torch.testing.assert_close(after[site], before[site])
    assert 0 < error(module(BATCHES[0]), net(BATCHES[0])) < 1e-5


@pytest.mark.parametrize('wide', [slice(64), slice(64, 96)])
def test_one_layer_for_all_three(wide):
    """Values get the range of queries and keys: the layer's outputs have one scale."""
    batches = [images(2, 3, 32, 32, seed=s) for s in range(2)]
    module = vit()
    for block in module.layers:
        block.attn.qkv.bias[wide] += 9
    net, done = equalized(module, batches, CFG)
    assert done.sites == {'attention': 4}  # scores and values of two blocks
    for block in (0, 1):
        q, k, v = magnitudes(net, batches)[f'layers.{block}.attn.qkv/linear:0'].chunk(3)
        torch.testing.assert_close(q, k, rtol=1e-3, atol=0)
        torch.testing.assert_close(v, q.max().expand(32), rtol=1e-3, atol=0)


def attend_by_head(self, x):
    """One layer for all three, and a product and a layer for each head."""
    q, k, v = (part.chunk(2, -1) for part in self.qkv(x).chunk(3, -1))
    one, two = ((q[i] * 0.25 @ k[i].mT).softmax(-1) @ v[i] for i in (0, 1))
    return self.one(one) + self.two(two)


def test_values_of_several_products_of_one_layer():
    """Values of the other head do not say how wide values may be."""
    parts = {name: nn.Linear(8, 16) for name in ('one', 'two')}
    module = Custom(attend_by_head, qkv=nn.Linear(16, 48), **parts)
    module.qkv.weight[32:] *= 100
    module.qkv.bias[32:] *= 100
    net, done = equalized(module, BATCHES, CFG)
    assert done.sites == {'attention': 4}
    q, _, v = magnitudes(net, BATCHES)['qkv/linear:0'].chunk(3)
    torch.testing.assert_close(v, q.max().expand(16), rtol=1e-3, atol=0)
    # All are large, none is an outlier: they keep their ratios.
    net, done = equalized(module, BATCHES, dict(CFG, products=False, beyond=8.0))
    assert done.sites == {'attention': 2}
    q, k, v = magnitudes(net, BATCHES)['qkv/linear:0'].chunk(3)
    assert v.max() < 1.001 * max(q.max(), k.max()) and v.min() < 0.9 * v.max()


def test_only_outliers_among_values_get_factors():
    """The others keep their ratios, so that columns of weights do."""
    module = attention()
    module.v.weight[3] *= 100
    module.v.bias[3] *= 100
    before = magnitudes(module_net(module), BATCHES)['v/linear:0']
    cfg = dict(CFG, products=False, beyond=8.0)
    net, done = equalized(module, BATCHES, cfg)
    assert done.sites == {'attention': 1}
    after = magnitudes(net, BATCHES)['v/linear:0']
    others = torch.arange(16) != 3
    ratio = after / before
    torch.testing.assert_close(ratio[others], ratio[0].expand(15), rtol=1e-4, atol=0)
    torch.testing.assert_close(after[3], after[others].max(), rtol=1e-4, atol=0)
    assert before[3] > 20 * before[others].max()
    assert 0 < error(module(BATCHES[0]), net(BATCHES[0])) < 1e-5
    with pytest.raises(ValueError, match='1 or more'):
        AttentionEqualizer(beyond=0.5)


@pytest.mark.parametrize('name', ['q', 'k'])
def test_only_outliers_among_queries_and_keys_get_factors(name):
    module = attention()
    layer = getattr(module, name)
    layer.weight[3] *= 100
    layer.bias[3] *= 100
    net, done = equalized(module, BATCHES, dict(CFG, values=False, beyond=8.0))
    assert done.sites == {'attention': 1}
    for side in ('q', 'k'):
        rows, before = getattr(net.backbone, side).weight, getattr(module, side).weight
        changed = (rows / before - 1).abs().amax(1) > 0.1
        assert changed.nonzero().flatten().tolist() == [3]
    assert 0 < error(module(BATCHES[0]), net(BATCHES[0])) < 1e-5


@pytest.mark.parametrize('name', ['q', 'k'])
@pytest.mark.parametrize('by', [100, 0.01])
def test_queries_and_keys_that_are_far_apart_are_balanced(name, by):
    """None of them is an outlier, but one side is."""
    module = attention()
    layer = getattr(module, name)
    layer.weight *= by
    layer.bias *= by
    net, done = equalized(module, BATCHES, dict(CFG, values=False, beyond=8.0))
    assert done.sites == {'attention': 1}
    after = magnitudes(net, BATCHES)
    torch.testing.assert_close(
        after['q/linear:0'], after['k/linear:0'], rtol=1e-4, atol=0
    )
    assert 0 < error(module(BATCHES[0]), net(BATCHES[0])) < 1e-5


def test_nothing_changes_without_outliers():
    module = attention()
    net, done = equalized(module, BATCHES, dict(CFG, beyond=100.0))
    assert not done.sites.get('attention')
    for new, old in zip(net.backbone.parameters(), module.parameters(), strict=True):
        assert torch.equal(new, old)


@pytest.mark.parametrize(
    ('model', 'sites'),
    [(vit, 4), (deit, 4), (mmpretrain_swin, 8), (mmdet_swin, 8)],
)
def test_outputs_stay(model, sites):
    module = model()
    batches = [images(2, 3, 40, 32, seed=s) for s in range(2)]
    net, done = equalized(module, batches, CFG, dict(type='layer_norm'))
    assert done.sites['attention'] == sites
    x = images(2, 3, 32, 48, seed=9)
    assert 0 < error(module(x), net(x)) < 1e-5


def grouped(self, x):
    """Two heads of queries share the keys of one; values are as usual."""
    q, k = heads(self.q(x)), self.k(x).unsqueeze(1)
    return self.last(((q @ k.mT).softmax(-1) @ heads(self.v(x))).mean(1))


def keys_elsewhere(self, x):
    k = self.k(x)
    return self.q(x) @ k.mT, k


def values_elsewhere(self, x):
    v = self.v(x)
    return self.last((self.q(x) @ x.mT).softmax(-1) @ v), v


def values_of_a_function(self, x):
    v = nn.functional.gelu(self.v(x))
    return self.last((self.q(x) @ x.mT).softmax(-1) @ v)


def values_into_a_norm(self, x):
    scores = (self.q(x) @ x.mT).softmax(-1)
    return self.other(scores @ self.v(x))


REFUSED = {
    'grouped queries': (grouped, nn.Linear(16, 8)),
    'keys that leave the region': (keys_elsewhere, None),
    'values that leave the region': (values_elsewhere, None),
    'values of a function': (values_of_a_function, None),
    'values that a LayerNorm reads': (values_into_a_norm, None),
    'queries of a LayerNorm': (
        lambda self, x: self.norm(self.q(x)) @ self.k(x).mT,
        None,
    ),
    'a layer for queries and keys': (
        lambda self, x: self.q(x) @ self.q(self.k(x)).mT,
        None,
    ),
}


@pytest.mark.parametrize('name', REFUSED)
def test_refused(name):
    body, keys = REFUSED[name]
    parts = dict(k=keys) if keys else {}
    module = attention(body, other=nn.LayerNorm(16), **parts)
    if keys:
        module.last = nn.Linear(8, 16)
    net, done = equalized(module, BATCHES, CFG)
    assert done.sites == {'attention': 0}
    for parameter, after in zip(
        module.parameters(), net.backbone.parameters(), strict=True
    ):
        assert torch.equal(parameter, after)


@pytest.mark.parametrize('kind', ['products', 'values'])
def test_either_alone(kind):
    options = dict(products=kind == 'products', values=kind == 'values')
    net, done = equalized(attention(), BATCHES, dict(CFG, **options))
    assert done.sites == {'attention': 1}


def test_a_channel_of_zeros():
    """A dead query gets the factor of an ordinary one."""
    module = attention()
    module.q.weight[5], module.q.bias[5] = 0, 0
    net, done = equalized(module, BATCHES, CFG)
    assert done.sites == {'attention': 2}
    assert all(torch.isfinite(p).all() for p in net.parameters())
    assert error(module(BATCHES[0]), net(BATCHES[0])) < 1e-5
    ratio = net.backbone.k.weight / module.k.weight
    assert ratio[5].mean() == pytest.approx(float(ratio.mean(1).median()), rel=0.5)
