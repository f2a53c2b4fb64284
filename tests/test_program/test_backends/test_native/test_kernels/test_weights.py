"""Packed weights, and the constants of the channels."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from native_cases import WIDE, check, gemms, linear, program, weights

from iptq_mm.native.commands import LANES
from iptq_mm.program.backends.native.kernels.weights import (
    channel_constants,
    content_of,
    pack,
    row_sums,
)
from iptq_mm.program.runtime.dynamic_rows.proof import with_rows


@pytest.mark.parametrize('bits', [8, 4])
@pytest.mark.parametrize('n, taps, depth', [(5, 1, 3), (48, 2, 8), (100, 3, 6)])
def test_where_a_weight_lies(n, taps, depth, bits):
    """Panel by panel: groups of 4 depths, in a group columns, in a column 4 depths."""
    weight = weights(n, taps * depth, bits).view(n, taps, depth)
    made = pack(weight)
    groups = -(-depth // 4)
    codes = made.data
    if bits == 4:  # two a byte, the lower depth in the lower half
        codes = torch.stack([codes & 15, codes >> 4], -1).flatten()
    vectors = -(-n // LANES)
    for c in range(n):
        panel = c // (made.width * LANES)
        width = min(made.width, vectors - panel * made.width) * LANES
        start = panel * made.width * LANES * taps * groups * 4
        for t in range(taps):
            for d in range(depth):
                group, column = t * groups + d // 4, c - panel * made.width * LANES
                code = int(codes[start + (group * width + column) * 4 + d % 4])
                assert code == int(weight[c, t, d]) % 2**made.bits


ACCUMULATOR = 2**20


@given(
    st.integers(-(2**31) + 1, 2**31 - 1),
    st.integers(-(2**40), 2**40),
    st.integers(1, 50),
    st.integers(0, 255),
    st.integers(-ACCUMULATOR, ACCUMULATOR),
)
def test_both_forms_are_the_formula(multiplier, offset, shift, zero_point, acc):
    """As C++ computes them, step by step."""
    one = [torch.tensor([x]) for x in (multiplier, offset, shift, ACCUMULATOR)]
    clamp = (-(2**62), 2**62)
    made = channel_constants(*one, clamp, zero_point)
    expected = ((acc * multiplier + offset) >> shift) + zero_point
    factor, addend, rest = (
        int(x[0]) for x in (made.multiplier, made.offset, made.shift)
    )
    assert made.low == clamp[0] + zero_point
    if not made.quick:
        assert (acc * factor + addend) >> rest == expected
        return
    up = 0 if made.up is None else int(made.up[0])
    assert abs(acc << up) < 2**31 and abs((acc << up) * factor + addend) < 2**63
    high = ((acc << up) * factor + addend) >> 32
    assert abs(high) <= 2**31 and rest >= 0 and high >> rest == expected


def test_which_form():
    """One channel whose shifted accumulator leaves 32 bits is enough."""
    for bounds, quick in [([100, 2**18], True), ([100, 2**30], False)]:
        factors = [torch.tensor([x, x]) for x in (3, 5, 20)]
        made = channel_constants(*factors, torch.tensor(bounds), (-128, 127), 128)
        assert made.quick == quick


@pytest.mark.parametrize('dtype', [torch.int8, torch.int16])
@pytest.mark.parametrize('shape', [(0, 2, 3), (3, 0, 2), (5, 2, 3), (2, 1, 140_000)])
def test_row_sums_are_exact(dtype, shape):
    least, most = torch.iinfo(dtype).min, torch.iinfo(dtype).max
    drawn = torch.randint(least, most + 1, shape, generator=torch.manual_seed(0))
    for weight in (drawn, torch.full(shape, least), torch.full(shape, most)):
        made = row_sums(weight.to(dtype)), row_sums(weight.to(dtype), magnitudes=True)
        assert torch.equal(made[0], weight.sum((1, 2)))
        assert torch.equal(made[1], weight.abs().sum((1, 2)))


def test_programs_share_packed_weights():
    """Those for other numbers of rows, as the heads of a detector have them."""

    def build(r):
        x = r.input((3, 20), -128, 127, 1.0)
        return linear(r, x, weights(33, 20), WIDE, 0.4)

    made = program(build)
    few, many = check(made), check(with_rows(made, 7))
    assert gemms(few)[0].weights == gemms(many)[0].weights
    made.tensors['weight'].neg_()
    assert gemms(check(made))[0].weights != gemms(few)[0].weights


def test_a_digest_is_that_of_the_content():
    weight = torch.arange(48, dtype=torch.int8).view(6, 8)
    first = content_of(weight)
    assert content_of(weight) == content_of(weight.clone()) == first
    assert content_of(weight[:, None]) == ((6, 1, 8), torch.int8, first[2])
    parts = [weight[1:], weight.flip(0), weight.t(), weight[:, ::2], weight[:3]]
    assert len({content_of(part) for part in [weight, *parts]}) == 6
    weight[0, 0] = 7
    assert content_of(weight) != first
    assert content_of(weight) == content_of(weight.clone())
    with torch.inference_mode():
        inside = torch.arange(48, dtype=torch.int8).view(6, 8)
        assert content_of(inside) == first
        inside.neg_()
        assert content_of(inside) != first
