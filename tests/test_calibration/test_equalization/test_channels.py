"""Which channel arrives where, whatever the code between does."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from region_models import Custom, bound, images, mmdet_swin, mmpretrain_swin, rows, vit
from torch import nn

from iptq_mm.calibration.equalization.channels import Channels, without_repeats

pytestmark = pytest.mark.usefixtures('no_grad')

NORM, LAST = 'norm/layer_norm:0', 'last/linear:0'


def mapped(module, *batches):
    """The map of a module that ran on each of the batches."""
    with bound(module, Channels()) as mode:
        for batch in batches:
            module(batch)
    return mode.map


def custom(body, *shape, **parts):
    return mapped(Custom(body, **parts), rows(*shape))


def forbidden(channels, name):
    """How many channels of a site something else looks at."""
    return len(channels.elsewhere.intersection(channels.channels(name)))


def positions(channels, reader, name):
    """Of the input features of a site, the channel of another one that each holds."""
    columns, index = channels.columns(reader, name)
    assert columns.tolist() == list(range(len(channels.features[reader])))
    return index.tolist()


@pytest.mark.parametrize('size', [(32, 32), (48, 40)])  # the latter is padded
@pytest.mark.parametrize('model', [vit, mmpretrain_swin, mmdet_swin])
def test_layer_norms_lead_to_their_linear_layers(model, size):
    module = model()
    channels = mapped(module, images(2, 3, *size))
    names = {'qkv': ('.ln1', '.norm1'), 'layers.0.0': ('.ln2', '.norm2')}
    found = 0
    for reader in channels.features:
        for part, norms in names.items():
            path = reader.removesuffix('/linear:0')
            if path.endswith(part):
                block = path.partition('.attn')[0].partition('.ffn')[0]
                (norm,) = {f'{block}{n}/layer_norm:0' for n in norms} & {
                    *channels.first
                }
                width = channels.sizes[norm]
                assert positions(channels, reader, norm) == list(range(width))
                assert channels.gains[reader] == 1 and not forbidden(channels, norm)
                found += 1
    assert found == 2 * len(channels.products) > 0


@pytest.mark.parametrize('size', [(32, 32), (48, 40)])
@pytest.mark.parametrize(
    ('model', 'heads'), [(vit, [2, 2]), (mmdet_swin, [2, 2, 4, 4])]
)
def test_queries_keys_and_values_through_heads_and_windows(model, heads, size):
    channels = mapped(model(), images(2, 3, *size))
    owners = [n for n in channels.affine if n.endswith('qkv/linear:0')]
    assert len(owners) == len(heads) == len(channels.products) == len(channels.carried)
    for owner, (site, pairs), carried in zip(
        owners, channels.products.items(), channels.carried.values(), strict=True
    ):
        width = channels.sizes[owner] // 3
        pairs = sorted(channels.index(owner, pairs).tolist())
        assert pairs == [[i, width + i] for i in range(width)], site
        values = sorted(channels.index(owner, carried).tolist())
        assert values == list(range(2 * width, 3 * width))
        (reader,) = [
            n
            for n in channels.features
            if n.startswith(owner.removesuffix('qkv/linear:0')) and 'proj' in n
        ]
        columns, index = channels.columns(reader, owner)
        assert columns.tolist() == list(range(width))
        assert index.tolist() == values
        assert not forbidden(channels, owner)


def test_the_residual_stream_is_joined():
    channels = mapped(vit(), images(2, 3, 32, 32))
    assert channels.sums == {
        '/cat:0': ['parameter:cls_token', 'patch_embed.projection/conv2d:0'],
        '/add:0': ['/cat:0', 'parameter:pos_embed'],
        'layers.0/add:0': ['/add:0', 'layers.0.attn.proj/linear:0'],
        'layers.0.ffn/add:0': ['layers.0/add:0', 'layers.0.ffn.layers.1/linear:0'],
        'layers.1/add:0': ['layers.0.ffn/add:0', 'layers.1.attn.proj/linear:0'],
        'layers.1.ffn/add:0': ['layers.1/add:0', 'layers.1.ffn.layers.1/linear:0'],
    }
    for site in channels.sums:
        assert not forbidden(channels, site)
    reader = 'layers.1.ln2/layer_norm:0'
    assert positions(channels, reader, 'layers.1/add:0') == list(range(32))
    assert channels.uses['cls_token'] == {'/cat:0'}


@pytest.mark.parametrize('mode', ['bicubic', 'bilinear'])
def test_a_resized_embedding_is_still_that_parameter(mode):
    """The weights of an interpolation add up to 1: channels stay channels."""
    channels = mapped(vit(interpolate_mode=mode), images(1, 3, 48, 40))
    assert channels.sums['/add:0'] == ['/cat:0', 'parameter:pos_embed']
    assert channels.uses['pos_embed'] == {'/add:0'}
    assert not forbidden(channels, '/add:0')


MOVES = {
    'permuted': lambda x: x[..., torch.tensor([3, 1, 0, 2] * 4) + 4],
    'rolled': lambda x: x.roll(5, -1),
    'flipped': lambda x: x.flip(-1),
    'halves': lambda x: x.unflatten(-1, (2, -1)).transpose(-1, -2).flatten(-2),
    'tokens': lambda x: x.flip(1).roll(1, 0),
    'larger': lambda x: x * 3.0,
    'negative': lambda x: -x / 7,
}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(sorted(MOVES)), max_size=5))
def test_factors_follow_any_views(names):
    """Factors at the LayerNorm, undone where the map says, change nothing."""

    def body(self, x):
        for name in names:
            x = MOVES[name](x)
        return self.last(x)

    module, x = Custom(body).double(), rows().double()
    expected = module(x)
    channels = mapped(module, x)
    assert not forbidden(channels, NORM)
    factors = torch.linspace(0.5, 2, 16, dtype=torch.float64)
    module.norm.weight *= factors
    module.norm.bias *= factors
    columns, index = channels.columns(LAST, NORM)
    module.last.weight[:, columns] /= factors[index]
    torch.testing.assert_close(module(x), expected)
    # What the input of the reader was multiplied by since.
    gain = 3.0 ** names.count('larger') * (-1 / 7) ** names.count('negative')
    assert channels.gains[LAST] == pytest.approx(gain)


OTHERS = {
    'a function': lambda self, x: self.last(x) + torch.nn.functional.gelu(x),
    'the output': lambda self, x: (self.last(x), x),
    'a product': lambda self, x: self.last(x) * x,
    'a mean': lambda self, x: self.last(x) + x.mean(1, keepdim=True),
    'a constant is added': lambda self, x: self.last(x + torch.arange(16.0)),
    'a small constant': lambda self, x: self.last(x - 0.125),
    'a sum of other channels': lambda self, x: self.last(x) + x.flip(-1),
    'side by side': lambda self, x: self.wide(torch.cat([x, x], -1)),
    'an input of the region': lambda self, x: self.last(x + torch.ones(16).neg()),
    'channels and tokens mixed': lambda self, x: self.last(
        x.transpose(1, 2).reshape(x.shape)
    ),
}


@pytest.mark.parametrize('name', OTHERS)
def test_other_readers(name):
    channels = custom(OTHERS[name], 4, 16, wide=nn.Linear(32, 16))
    assert forbidden(channels, NORM) == 16


def test_only_those_that_others_read():
    channels = custom(lambda self, x: (self.last(x), x[..., 4:7]))
    norm = channels.channels(NORM)
    assert channels.elsewhere.intersection(norm) == {*norm[4:7]}


def test_parameters_that_are_shared():
    shared = Custom(lambda self, x: self.last(self.again(x)), again=nn.Linear(16, 16))
    shared.again.weight = shared.last.weight
    channels = mapped(shared, rows())
    assert channels.uses['last.weight'] == {'again/linear:0', LAST}
    assert channels.uses['last.bias'] == {LAST}


def test_a_module_that_is_called_twice():
    channels = custom(lambda self, x: self.last(self.last(x)))
    assert channels.uses['last.weight'] == {LAST, 'last/linear:1'}


FUNCTIONAL = {
    'a computation': lambda self, x: self.last(x) + self.last.bias * self.p[0, 0],
    'the output': lambda self, x: (self.last(x), self.last.bias),
    '/add:0': lambda self, x: self.last(x) + self.last.bias,
}


@pytest.mark.parametrize('by', FUNCTIONAL)
def test_parameters_that_something_else_uses(by):
    channels = custom(FUNCTIONAL[by])
    assert channels.uses['last.bias'] >= {LAST, by}
    assert channels.uses['last.weight'] == {LAST}


def test_a_layer_of_parts_of_parameters_has_no_parameters_of_its_own():
    def body(self, x):
        return torch.nn.functional.layer_norm(
            self.last(x), (8,), self.norm.weight[:8], self.norm.bias[:8]
        )

    channels = custom(body, last=nn.Linear(16, 8))
    assert '/layer_norm:0' in channels.features
    assert '/layer_norm:0' not in channels.affine
    assert channels.uses['norm.weight'] == {NORM, '/layer_norm:0'}


def test_grouped_queries_show():
    """Two heads of queries that share the keys of one."""

    def body(self, x):
        q = self.last(x).unflatten(-1, (2, 8)).transpose(1, 2)
        k = self.keys(x).unsqueeze(1).expand(-1, 2, -1, -1)
        return (q @ k.mT).softmax(-1) @ q

    channels = custom(body, keys=nn.Linear(16, 8))
    (pairs,) = channels.products.values()
    assert len(pairs) == 16
    assert len(pairs[:, 0].unique()) == 16 and len(pairs[:, 1].unique()) == 8


def test_calls_that_differ():
    """A region that runs twice a batch; what one call says must hold in both."""
    module = Custom(lambda self, x: self.last(x if len(x) == 4 else x.flip(-1)))
    assert forbidden(mapped(module, rows(4, 5), rows(4, 7)), NORM) == 0
    assert forbidden(mapped(module, rows(4, 5), rows(2, 5)), NORM) == 16
    module = Custom(lambda self, x: self.last(x if len(x) == 4 else 2 * x))
    assert forbidden(mapped(module, rows(4, 5), rows(2, 5)), NORM) == 16


def test_zeros_beside_tokens_are_no_other_channel():
    def body(self, x):
        return self.last(nn.functional.pad(x, (0, 0, 0, 3)))

    channels = custom(body)
    assert positions(channels, LAST, NORM) == list(range(16))
    assert not forbidden(channels, NORM)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=4), st.data())
def test_repeats_are_dropped_and_nothing_else(shape, data):
    kept = [data.draw(st.sampled_from([1, size])) for size in shape[:-1]]
    some = torch.randint(0, 2, (*kept, shape[-1]), dtype=torch.float64)
    values = some.expand(shape).contiguous()
    found = without_repeats(values)
    assert found.dim() == values.dim() and found.shape[-1] == values.shape[-1]
    assert torch.equal(found.expand(shape), values)
    if values.numel():
        assert found.numel() <= some.numel()
    for dim, size in enumerate(found.shape[:-1]):
        first = found.narrow(dim, 0, min(size, 1))
        assert size < 2 or not torch.equal(first.expand_as(found), found)


def test_parameters_that_are_computed_with_a_buffer():
    """A table of positions, say, as Swin V2 makes its biases of one."""

    class Tabled(Custom):
        def __init__(self):
            super().__init__(None)
            self.register_buffer('table', torch.rand(5, 16))

        def forward(self, x):
            x = self.last(self.norm(self.first(x)))
            return x + nn.functional.linear(self.table, self.last.weight)[0]

    channels = mapped(Tabled(), rows())
    assert channels.uses['last.weight'] == {LAST, '/add:0'}
    assert '/layer_norm:' in ' '.join(channels.affine)
