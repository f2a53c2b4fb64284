"""What equalizers share: limits, factors, and who uses what."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iptq_mm.calibration.equalization.base import (
    LIMIT,
    Equalized,
    Uses,
    limited,
    magnitudes,
    scale,
)
from iptq_mm.calibration.equalization.channel_map import Affine, ChannelMap
from iptq_mm.calibration.equalization.ranging import Ranges


def test_magnitudes():
    ranges = torch.tensor([[-3.0, 0.5, -1], [2.0, 1.5, -0.5]])
    assert magnitudes(ranges).tolist() == [3, 1.5, 1]


factors = st.floats(allow_nan=True, allow_infinity=True, width=32)


@settings(deadline=None)
@given(st.lists(factors, min_size=1, max_size=8))
def test_limited_factors_are_positive_and_not_far_apart(given):
    found = limited(torch.tensor(given, dtype=torch.float64))
    assert torch.isfinite(found).all() and (found > 0).all()
    assert float(found.max() / found.min()) <= LIMIT**2 * 1.01


def test_limited():
    found = limited(torch.tensor([2.0, 1.0, 0, torch.nan, torch.inf, 1e9, 1e-9, 3]))
    assert found.tolist() == [2, 1, 2, 2, 2, 2 * LIMIT, 2 / LIMIT, 3]
    assert limited(torch.zeros(3)).tolist() == [1, 1, 1]


@pytest.mark.parametrize('dim', [0, 1, -1])
def test_scale(dim):
    values = torch.ones(3, 3, 3)
    scale(values, dim, torch.tensor([2.0, 4]), torch.tensor([2, 0]))
    moved = values.movedim(dim, 0)
    assert (moved[0] == 4).all() and (moved[1] == 1).all() and (moved[2] == 2).all()
    scale(values, dim, torch.tensor([1.0, 3, 1]))
    assert (moved[0] == 4).all() and (moved[1] == 3).all() and (moved[2] == 2).all()


def channel_map():
    """Two layers: ``b`` reads the channels of ``a`` from the last to the first."""
    channels = ChannelMap()
    for name in 'ab':
        channels.number(f'{name}/linear:0', 3)
        channels.affine[f'{name}/linear:0'] = Affine(f'{name}.weight', f'{name}.bias')
        channels.weights[f'{name}/linear:0'] = f'{name}.weight'
        for parameter in ('weight', 'bias'):
            channels.use(f'{name}.{parameter}', f'{name}/linear:0')
    channels.features['b/linear:0'] = torch.tensor([3, 2, 0, 1])
    return channels


def test_what_a_site_makes_and_what_another_one_reads():
    region = Equalized(
        {
            'a.weight': torch.ones(3, 5),
            'a.bias': torch.ones(3),
            'b.weight': torch.ones(3, 4),
            'b.bias': torch.ones(3),
        },
        channel_map(),
        Ranges({'a/linear:0': torch.tensor([[-1.0] * 3, [1] * 3])}),
    )
    by = torch.tensor([2.0, 4, 8])
    region.scale_made('a/linear:0', by)
    region.scale_read('b/linear:0', 'a/linear:0', 1 / by)
    assert region.parameters['a.weight'].tolist() == [[b] * 5 for b in (2, 4, 8)]
    assert region.parameters['a.bias'].tolist() == [2, 4, 8]
    assert region.ranges.values['a/linear:0'].tolist() == [[-2, -4, -8], [2, 4, 8]]
    row = [0.125, 0.25, 1, 0.5]
    assert region.parameters['b.weight'].tolist() == [row] * 3
    assert region.parameters['b.bias'].tolist() == [1] * 3


def test_uses():
    channels = channel_map()
    channels.products['p'] = torch.tensor([[4, 5]])
    channels.number('/add:0', 3)
    channels.sums['/add:0'] = ['b/linear:0', 'b/linear:0']
    uses = Uses(channels)
    assert uses.of([1, 2, 3]) == {'features': ['b/linear:0']}
    assert uses.of([4]) == {'products': ['p'], 'sums': ['/add:0']}
    assert uses.of([6]) == {'sums': ['/add:0']}
    assert uses.of([7, 8, 9]) == {}
    channels.forbid(torch.tensor([2, 0]))
    assert uses.of([1, 2]) is None and uses.of([1, 3]) is not None


def test_linear_owner():
    channels = channel_map()
    channels.number('c/layer_norm:0', 3)
    channels.affine['c/layer_norm:0'] = Affine('c.weight', None)
    channels.use('c.weight', 'c/layer_norm:0')
    uses = Uses(channels)
    owner = {n: uses.linear_owner(torch.tensor(n)) for n in [(1, 3), (6, 4), (5,)]}
    assert owner == {(1, 3): 'a/linear:0', (6, 4): 'b/linear:0', (5,): 'b/linear:0'}
    for none in ([], [3, 4], [0, 1], [7, 8], [99]):
        assert uses.linear_owner(torch.tensor(none, dtype=torch.long)) is None
    channels.use('a.bias', 'd/linear:0')
    assert uses.linear_owner(torch.tensor([1, 2])) is None
    assert not uses.movable('a/linear:0') and uses.movable('b/linear:0')
    assert not uses.movable('d/linear:0')
    # Columns of a weight can take factors, whoever uses the bias.
    assert uses.scalable('a/linear:0') and not uses.scalable('d/linear:0')
    channels.use('a.weight', 'd/linear:0')
    assert not uses.scalable('a/linear:0')
