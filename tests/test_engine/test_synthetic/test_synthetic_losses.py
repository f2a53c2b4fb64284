import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iptq_mm.engine.synthetic.losses import (
    differential_entropy,
    patch_similarity_entropy,
    total_variation,
)


@pytest.mark.parametrize('width', [0.1, 0.2, 0.3])
def test_entropy_of_a_normal_distribution(width):
    """Its density convolved with the kernel is normal again."""
    values = width * torch.randn(1, 40_000, generator=torch.Generator().manual_seed(0))
    wider = math.hypot(width, 0.05)
    exact = 0.5 * math.log(2 * math.pi * math.e * wider**2)
    assert abs(float(differential_entropy(values)) - exact) < 0.03


@settings(deadline=None)
@given(st.floats(-1, 1), st.floats(0.05, 0.3))
def test_one_value_has_the_entropy_of_the_kernel(value, bandwidth):
    exact = 0.5 * math.log(2 * math.pi * math.e * bandwidth**2)
    found = differential_entropy(torch.full((3,), value), bandwidth)
    assert abs(float(found) - exact) < 0.03


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32), st.floats(0.3, 30), st.integers(2, 80))
def test_similarity_ignores_length_and_order(seed, factor, length):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(2, length, 8, generator=generator)
    lengths = factor * (0.5 + torch.rand(2, length, 1, generator=generator))
    entropy = patch_similarity_entropy(tokens)
    assert entropy.shape == (2,)
    assert torch.allclose(
        patch_similarity_entropy(tokens * lengths), entropy, atol=1e-3
    )
    if length <= 64:  # all of them are compared
        order = torch.randperm(length, generator=generator)
        assert torch.allclose(
            patch_similarity_entropy(tokens[:, order]), entropy, atol=1e-3
        )


def test_alike_patches_have_less_entropy_than_two_groups():
    generator = torch.Generator().manual_seed(0)
    alike = torch.ones(1, 32, 8) + 0.1 * torch.randn(1, 32, 8, generator=generator)
    groups = alike.clone()
    groups[:, 16:] *= torch.tensor([1.0, -1] * 4)
    assert patch_similarity_entropy(groups) > patch_similarity_entropy(alike) + 0.5


def test_entropy_can_be_increased():
    tokens = torch.ones(1, 16, 4) + 0.1 * torch.randn(
        1, 16, 4, generator=torch.Generator().manual_seed(0)
    )
    tokens.requires_grad_()
    before = patch_similarity_entropy(tokens)
    before.sum().backward()
    assert tokens.grad is not None and tokens.grad.isfinite().all()
    with torch.no_grad():
        assert patch_similarity_entropy(tokens + 0.1 * tokens.grad.sign()) > before


def test_one_patch_is_compared_with_none():
    assert patch_similarity_entropy(torch.randn(3, 1, 4)).tolist() == [0, 0, 0]


def test_many_patches_are_sampled():
    """Four thousand patches would have eight million pairs."""
    tokens = torch.randn(1, 4096, 16, generator=torch.Generator().manual_seed(0))
    few = patch_similarity_entropy(tokens[:, :512])
    assert abs(float(patch_similarity_entropy(tokens) - few)) < 0.05


@settings(deadline=None)
@given(st.floats(-1, 1), st.floats(-1, 1), st.integers(2, 9), st.integers(2, 9))
def test_total_variation_of_a_ramp_is_its_slope(down, right, height, width):
    y, x = torch.arange(height)[:, None], torch.arange(width)
    found = total_variation((down * y + right * x)[None, None])
    assert abs(float(found) - (down**2 + right**2) ** 0.5) < 4e-3


def test_total_variation_has_a_gradient_where_nothing_varies():
    flat = torch.zeros(1, 3, 4, 4, requires_grad=True)
    total_variation(flat).backward()
    assert flat.grad is not None and flat.grad.isfinite().all()
