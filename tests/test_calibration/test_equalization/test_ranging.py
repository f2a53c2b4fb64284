"""Ranges by channel: of what each site really gives, for any split of the images."""

import io

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from region_models import Custom, bound, deit, images, mmdet_swin, rows
from torch import nn

from iptq_mm.calibration.equalization.ranging import Ranges, Ranging

pytestmark = pytest.mark.usefixtures('no_grad')


class Every:
    """All sites."""

    def __contains__(self, site):
        return True


def ranged(module, batches, sites=None):
    ranges = Ranges()
    with bound(module, Ranging(sites or Every(), ranges)):
        for batch in batches:
            module(batch)
    return ranges


def outputs(module, batch):
    """By path, what each sub-module gives, channels last."""
    found, handles = {}, []
    for path, child in module.named_modules():

        def keep(m, args, output, path=path):
            moved = output.movedim(1, -1) if isinstance(m, nn.Conv2d) else output
            found[path] = moved.flatten(0, -2)

        if isinstance(child, nn.Linear | nn.LayerNorm | nn.Conv2d):
            handles.append(child.register_forward_hook(keep))
    module(batch)
    for handle in handles:
        handle.remove()
    return found


@pytest.mark.parametrize('model', [deit, mmdet_swin])
def test_ranges_are_those_of_the_float_model(model):
    module, x = model(), images(3, 3, 32, 32)
    ranges, seen = ranged(module, [x]).values, 0
    for path, value in outputs(module, x).items():
        (site,) = [s for s in ranges if s.rpartition('/')[0] == path]
        expected = torch.stack([value.amin(0), value.amax(0)]).double()
        torch.testing.assert_close(ranges[site], expected, rtol=1e-4, atol=1e-4)
        seen += 1
    assert seen > 10
    assert all(r.dtype == torch.float64 for r in ranges.values())


def test_sums_have_ranges_too():
    module = Custom(lambda self, x: x + self.last(x))
    x = rows()
    low, high = ranged(module, [x], {'/add:0'}).values.pop('/add:0')
    value = module(x).flatten(0, 1).double()
    torch.testing.assert_close((low, high), (value.amin(0), value.amax(0)))


def test_only_the_sites_that_are_named():
    found = ranged(Custom(lambda self, x: self.last(x)), [rows()], {'last/linear:0'})
    assert list(found.values) == ['last/linear:0']


def test_padded_values_are_noted():
    def body(self, x):
        return self.last(nn.functional.pad(x[:, 1:], (0, 0, 0, 2)))

    module = Custom(body)
    assert ranged(module, [rows()]).padded == {'norm/layer_norm:0'}
    module.body = lambda self, x: self.last(x)
    assert ranged(module, [rows()]).padded == set()


def test_no_values_have_no_range():
    module = Custom(lambda self, x: self.last(x[:0]))
    assert 'last/linear:0' not in ranged(module, [rows()]).values


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_any_split_merges_to_the_same(parts):
    module = Custom(lambda self, x: self.last(x))
    batches = [rows(seed=s) for s in range(4)]
    whole, merged = ranged(module, batches), Ranges()
    for part in range(4):
        own = [b for b, p in zip(batches, parts, strict=True) if p == part]
        merged.merge(ranged(module, own))
    assert merged.values.keys() == whole.values.keys()
    for site, seen in whole.values.items():
        assert torch.equal(merged.values[site], seen)


def test_merging_joins_what_was_padded():
    one, other = Ranges(padded={'a'}), Ranges(padded={'b'})
    one.merge(other)
    assert (one.padded, other.padded) == ({'a', 'b'}, {'b'})


def ones():
    return Ranges({'a': torch.ones(2, 3, dtype=torch.float64)}, {'b'})


def test_a_copy_has_tensors_of_its_own():
    ranges = ones()
    copy = ranges.copy()
    copy.values['a'].mul_(2)
    copy.padded.add('c')
    assert torch.equal(ranges.values['a'], ones().values['a'])
    assert ranges.padded == {'b'}


def test_files():
    """Nothing but plain types and tensors, which any torch reads."""
    file = io.BytesIO()
    torch.save(ones().state_dict(), file)
    file.seek(0)
    again = Ranges.from_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(again.values['a'], ones().values['a'])
    assert again.padded == {'b'}
