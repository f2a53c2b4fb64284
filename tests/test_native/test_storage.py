"""How integers are stored."""

import pytest
import torch

from iptq_mm.native.commands import I16, I32, U8
from iptq_mm.native.storage import SIGNED_BYTES, Storage, storage_for, storage_of


@pytest.mark.parametrize(
    ('bounds', 'expected'),
    [
        ((-128, 127), SIGNED_BYTES),
        ((-1, 1), SIGNED_BYTES),
        ((0, 255), Storage(U8, 0)),
        ((-3, 252), Storage(U8, 3)),
        ((1000, 1255), Storage(U8, -1000)),
        ((0, 256), Storage(I16)),
        ((-(2**15), 2**15 - 1), Storage(I16)),
        ((0, 2**15), Storage(I32)),
    ],
)
def test_the_smallest_storage(bounds, expected):
    made = storage_for(*bounds)
    assert made == expected
    codes = [q + made.zero_point for q in bounds]
    if made.type == U8:
        assert min(codes) >= 0 and max(codes) <= 255
    assert made.bound >= max(map(abs, bounds))


def test_more_than_32_bits():
    with pytest.raises(OverflowError, match='more than 32 bits'):
        storage_for(0, 2**31)


@pytest.mark.parametrize(
    ('storage', 'bound'),
    [
        (Storage(U8, 128), 128),
        (Storage(U8, 0), 255),
        (Storage(U8, -1000), 1255),
        (Storage(U8, 300), 300),
        (Storage(I16, -(2**15)), 2**16),
        (Storage(I32), 2**31),
    ],
)
def test_bounds(storage, bound):
    assert storage.bound == bound


def test_storage_of_torch():
    assert storage_of(torch.int16) == Storage(I16) and storage_of(torch.int16).size == 2
