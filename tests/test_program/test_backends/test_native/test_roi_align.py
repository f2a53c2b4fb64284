"""RoIAlign beside integer programs: mmcv's own sums, to the last bit."""

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmcv.ops import RoIAlign
from torch import nn

from iptq_mm.intmath import QParams
from iptq_mm.modes.shared_integers import share_integers
from iptq_mm.native import library
from iptq_mm.native.conversions import dequantize
from iptq_mm.program.backends.native import roi_align
from iptq_mm.program.backends.native.roi_align import accelerate
from iptq_mm.program.backends.replacement import Replacement, restore


def layers(*args, **kwargs):
    """mmcv's, and the one that stands in for it."""
    own = nn.Sequential(RoIAlign(*args, **kwargs))
    quick = copy.deepcopy(own)
    accelerate(quick)
    return own[0], quick[0]


def boxes(count, images, size, seed=0):
    """Of any size, some beyond the borders, some without any area."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 4, generator=generator) * size * 1.5 - size * 0.25
    low = torch.minimum(corners[:, :2], corners[:, 2:])
    high = torch.maximum(corners[:, :2], corners[:, 2:])
    high[: count // 5] = low[: count // 5]
    image = torch.randint(images, (count, 1), generator=generator).float()
    return torch.cat([image, low, high], 1)


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('sampling', [0, 2, 3])
@pytest.mark.parametrize('channels', [1, 5, 64, 70, 256])
def test_mmcvs_sums(level, channels, sampling, aligned, three_threads):
    own, quick = layers((7, 5), 0.25, sampling, aligned=aligned)
    x, rois = torch.randn(2, channels, 23, 31), boxes(40, 2, 110)
    assert isinstance(quick, Replacement) and torch.equal(quick(x, rois), own(x, rois))


@given(
    st.integers(0, 2**31),
    st.integers(1, 9),
    st.floats(1 / 64, 3, width=32),
    st.sampled_from([1e-3, 1.0, 7.0, 300.0]),
)
@settings(max_examples=60, deadline=None)
def test_any_boxes(seed, size, scale, extent):
    own, quick = layers(3, scale, 0)
    x = torch.randn(1, 4, size, size + 1, generator=torch.Generator().manual_seed(seed))
    rois = boxes(10, 1, extent, seed)
    assert torch.equal(quick(x, rois), own(x, rois))


@pytest.mark.parametrize('dtype', [torch.int8, torch.int16])
def test_integers_of_a_region(level, dtype, three_threads):
    """What a region made is read as integers: the same floats."""
    own, quick = layers(7, 0.125, 0)
    high = torch.iinfo(dtype).max
    q = torch.randint(-high, high + 1, (2, 33, 17, 12)).to(dtype)
    qparams = QParams(0.0123456789, -high, high)
    x, rois = dequantize(q, qparams.scale), boxes(30, 2, 120)
    expected = own(x, rois)
    share_integers(x, q, qparams)
    assert torch.equal(quick(x, rois), expected)
    x.add_(1)  # no longer what the region made
    assert torch.equal(quick(x, rois), own(x, rois))


def test_a_map_is_turned_once_until_it_changes():
    own, quick = layers(3, 1.0, 2)
    rois, x = boxes(5, 1, 20), torch.randn(1, 4, 9, 9)
    for _ in range(2):
        assert torch.equal(quick(x, rois), own(x, rois))
    (kept,) = (made for made in roi_align._made.values() if made[0]() is x)
    x.add_(1)
    assert torch.equal(quick(x, rois), own(x, rois))
    assert roi_align._made[id(x)][2] is not kept[2]
    key = id(x)
    del x, kept
    assert key not in roi_align._made
    with torch.inference_mode():
        other = torch.randn(1, 4, 9, 9)
        assert torch.equal(quick(other, rois), own(other, rois))
    assert id(other) not in roi_align._made


def test_what_mmcv_computes_itself(level, monkeypatch):
    x, rois = torch.randn(1, 3, 9, 9), boxes(8, 1, 30)
    own, quick = layers(2, 0.25)
    assert torch.equal(quick(x.double(), rois.double()), own(x.double(), rois.double()))
    leaf = x.clone().requires_grad_()
    quick(leaf, rois).sum().backward()
    assert leaf.grad is not None and leaf.grad.abs().sum() > 0
    wild = boxes(8, 1, 30)
    wild[0, 3:] = torch.tensor([3e5, 3e5])
    with monkeypatch.context() as patch:  # mmcv would take all of the memory
        patch.setattr(RoIAlign, 'forward', lambda *_: 'by mmcv')
        assert quick(x, wild) == 'by mmcv'
    inside_out = rois[:, [0, 3, 4, 1, 2]]
    with pytest.raises(RuntimeError, match='ROIAlign'):
        quick(x, inside_out)
    with pytest.raises(AssertionError, match='RoI must be'):
        quick(x, rois[:, :4])
    assert quick(x, rois[:0]).shape == (0, 3, 2, 2)


def test_maximum_stays():
    assert not isinstance(layers(2, pool_mode='max')[1], Replacement)


def test_restore():
    own, quick = layers(7, 0.25)
    again = pickle.loads(pickle.dumps(quick))
    assert type(again) is type(quick) and type(quick).__name__ == 'RoIAlign'
    restore(nn.Sequential(quick))
    assert type(quick) is type(own)


def test_other_instruction_sets_make_the_same(three_threads):
    _, quick = layers(7, 0.25)
    x, rois, previous = torch.randn(1, 64, 20, 20), boxes(50, 1, 80), library.level()
    made = []
    for name in library.levels():
        library.use_level(name)
        made.append(quick(x, rois))
    library.use_level(previous)
    assert all(torch.equal(one, made[0]) for one in made)
