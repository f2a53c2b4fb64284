"""Convolutions as linear layers."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from iptq_mm.patches import patch_sums, patches


def integers(low, high, *shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(low, high + 1, shape, generator=generator)
    return values.to(torch.int8 if low >= -128 and high <= 127 else torch.int16)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 1000),
    st.sampled_from([(1, 1), (2, 3), (3, 2), (4, 4)]),
    st.sampled_from([1, 2, (3, 1), (2, 2)]),
    st.sampled_from([0, 1, (2, 0), 'same', 'valid']),
    st.sampled_from([1, 2, (1, 2)]),
)
def test_a_convolution_is_a_product_of_patches(seed, kernel, stride, padding, dilation):
    if padding == 'same':  # torch has it for this stride only
        stride = 1
    x = integers(-32768, 32767, 2, 3, 9, 10, seed=seed)
    weight = integers(-7, 7, 4, 3, *kernel, seed=seed + 1)
    rows = patches(x, weight.shape, stride, padding, dilation)
    assert rows.dtype == x.dtype
    expected = F.conv2d(x.double(), weight.double(), None, stride, padding, dilation)
    result = rows.double() @ weight.double().flatten(1).t()
    assert torch.equal(result, expected.permute(0, 2, 3, 1).flatten(0, 2))
    given = dict(stride=stride, padding=padding, dilation=dilation)
    sums = patch_sums(x.float(), None, weight.shape, **given)
    assert torch.equal(sums, rows.double().sum(0))
    counts = integers(0, 99, len(rows), seed=seed + 2).long()
    wanted = counts.double() @ rows.double()
    assert torch.equal(patch_sums(x, counts, weight.shape, **given), wanted)


def test_patches_of_no_linear_layer():
    x = torch.zeros(1, 4, 8, 8, dtype=torch.int8)
    with pytest.raises(ValueError, match="4 groups.*'nearest'"):
        patches(x, (4, 1, 3, 3), groups=4)
    for bad in (x[0], x[:, :3], x.flatten(2)):
        with pytest.raises(ValueError, match='no two-dimensional convolution'):
            patches(bad, (4, 4, 3, 3))
