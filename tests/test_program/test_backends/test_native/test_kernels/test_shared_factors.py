"""Weights of 4 bits whose factors groups of depths share."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from native_cases import WIDE, check, gemms, grouped_weights, linear, program

from iptq_mm.native.commands import LANES
from iptq_mm.program.backends.native.kernels.weights import pack
from iptq_mm.program.ir.shared_factors import shared_factors


def multiplied(shared, depth):
    each = shared.factors.int().repeat_interleave(shared.group, 2)[..., :depth]
    return shared.codes.int() * each


@given(
    st.sampled_from([8, 16, 32]),
    st.integers(1, 40),
    st.integers(1, 3),
    st.integers(1, 70),
    st.integers(0, 1000),
)
def test_codes_times_factors_are_the_weights(group, n, taps, depth, seed):
    weight = grouped_weights(n, taps, depth, group, seed=seed)
    found = shared_factors(weight)
    assert found.group >= min(group, 8)
    assert torch.equal(multiplied(found, depth), weight.int())
    assert found.codes.abs().max() <= 7
    assert found.factors.min() >= 1 and found.factors.max() <= 16


def test_the_largest_group_is_found():
    for group in (8, 16, 32):
        assert shared_factors(grouped_weights(8, 1, 64, group)).group == group


@pytest.mark.parametrize('value', [8, 11, 113, -128])
def test_one_weight_that_does_not_fit_is_enough(value):
    """Late enough that a look at the first columns does not see it."""
    weight = grouped_weights(40, 1, 32, 8, factor=1)
    weight[39, 0, 8:16] = torch.tensor([value, 1, 0, 0, 0, 0, 0, 0])
    found = shared_factors(weight)
    assert found.group == 0 and found.factors is None
    assert torch.equal(found.codes, weight)
    assert pack(weight).bits == 8


@pytest.mark.parametrize('n, taps, depth', [(5, 1, 9), (48, 2, 8), (100, 3, 20)])
def test_where_a_factor_lies(n, taps, depth):
    """Panel by panel, tap by tap, group by group, column by column."""
    weight = grouped_weights(n, taps, depth, 8)
    weight[0, 0, :8] = 112  # not without factors
    made, shared = pack(weight), shared_factors(weight)
    assert made.bits == 4 and made.group == shared.group
    nibbles = torch.stack([made.factors & 15, made.factors >> 4], -1).flatten()
    vectors, groups = -(-n // LANES), shared.factors.shape[2]
    for c in range(n):
        panel = c // (made.width * LANES)
        columns = min(made.width, vectors - panel * made.width) * LANES
        start = panel * made.width * LANES * taps * groups
        for t in range(taps):
            for g in range(groups):
                place = (t * groups + g) * columns + c - panel * made.width * LANES
                assert int(nibbles[start + place]) == int(shared.factors[c, t, g]) - 1


@pytest.mark.parametrize('group', [8, 16, 32])
@pytest.mark.parametrize('n, depth', [(5, 9), (33, 20), (200, 100), (64, 1), (16, 64)])
def test_products_are_those_of_the_reference(level, n, depth, group):
    weight = grouped_weights(n, 1, depth, group)[:, 0]

    def build(r):
        x = r.input((7, depth), -128, 127, 1.0)
        return linear(r, x, weight, WIDE, 0.01)

    command = gemms(check(program(build)))[0]
    assert command.bits == 4


@pytest.mark.parametrize('channels', [16, 20])
def test_convolutions(level, channels):
    """Groups of the depth of each tap, as the kernel walks them."""
    weight = (
        grouped_weights(24, 9, channels, 8).view(24, 3, 3, channels).permute(0, 3, 1, 2)
    )
    attributes = dict(stride=(1, 1), padding=(1, 1), dilation=(1, 1), groups=1)

    def build(r):
        x = r.input((2, channels, 5, 6), -128, 127, 1.0)
        shape = (2, 24, 5, 6)
        return linear(
            r, x, weight.contiguous(), WIDE, 0.01, 'conv2d', shape, attributes
        )

    command = gemms(check(program(build)))[0]
    assert command.bits == 4 and command.group == 8


def test_memory():
    """36 bits for 8 weights, and 34 for 8 of groups of 16."""
    for group, bits in ((8, 36), (16, 34)):
        made = pack(grouped_weights(64, 1, 256, group))
        stored = made.data.numel() + made.factors.numel()
        assert stored * 8 == 64 * 256 * bits // 8
