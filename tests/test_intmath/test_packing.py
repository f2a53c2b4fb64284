"""Integers of few bits in a stream of bits."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iptq_mm.intmath.packing import pack, packed_size, unpack

some_bits = st.integers(1, 7)


@st.composite
def some_values(draw):
    bits = draw(some_bits)
    half = 2 ** (bits - 1)
    return bits, draw(st.lists(st.integers(-half, half - 1), max_size=40))


@settings(deadline=None)
@given(some_values())
def test_exact_inverse(case):
    bits, values = case
    packed = pack(torch.tensor(values, dtype=torch.int8), bits)
    assert packed.dtype == torch.uint8
    assert len(packed) == packed_size(len(values), bits) == -(-len(values) * bits // 8)
    assert unpack(packed, bits, len(values)).tolist() == values


@settings(deadline=None)
@given(some_values())
def test_bits_lie_where_the_module_says(case):
    bits, values = case
    stream = sum((v & (2**bits - 1)) << (bits * i) for i, v in enumerate(values))
    size = packed_size(len(values), bits)
    expected = stream.to_bytes(size, 'little')
    assert bytes(pack(torch.tensor(values, dtype=torch.int8), bits).numpy()) == expected


@pytest.mark.parametrize('dtype', [torch.int8, torch.int16, torch.int64])
def test_any_type_shape_and_layout(dtype):
    values = torch.arange(-4, 4).repeat(9).view(8, 9).to(dtype).t()
    assert torch.equal(unpack(pack(values, 3), 3, 72).view(9, 8), values.to(torch.int8))


def test_what_does_not_fit():
    with pytest.raises(OverflowError, match='-4..3 does not fit into 2 bits'):
        pack(torch.tensor([3, -4]), 2)
    with pytest.raises(ValueError, match='1 to 7 bits'):
        pack(torch.tensor([3]), 8)
    with pytest.raises(ValueError, match='1 to 7 bits'):
        unpack(torch.zeros(1, dtype=torch.uint8), 0, 1)
    with pytest.raises(ValueError, match='5 integers of 4 bits'):
        unpack(torch.zeros(4, dtype=torch.uint8), 4, 5)
    with pytest.raises(ValueError, match='int8'):
        unpack(torch.zeros(3, dtype=torch.int8), 4, 5)
