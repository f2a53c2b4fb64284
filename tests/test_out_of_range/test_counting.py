"""Counts of integers outside of a range, against one value at a time."""

import pytest
import torch

from iptq_mm.out_of_range import SLOTS, count_outside, reach


def counted(x, low, high):
    counts = torch.zeros(SLOTS, dtype=torch.int64)
    count_outside(x, low, high, counts)
    return counts


def one_by_one(x, low, high):
    """The same, from the definition."""
    counts = [0] * SLOTS
    first, last = reach(low, high)
    for value in x.flatten().tolist():
        value = min(max(value, first), last)
        distances = low - value, value - high
        for side, distance in enumerate(distances):
            if distance > 0:
                counts[32 * side + distance.bit_length() - 1] += 1
                counts[64 + side] = max(counts[64 + side], distance)
    return torch.tensor(counts)


@pytest.mark.parametrize(
    'low, high',
    [(-128, 127), (-74, 181), (0, 255), (-32767, 32767), (0, 65535), (-(2**30), 2**30)],
)
def test_edges(low, high):
    """Exactly at the bounds, one step beyond, at powers of two, and far outside."""
    distances = [1, 2, 3, 4, 7, 8, 1000, 2**14, 2**15, 2**29, 2**31, 2**40]
    inside = torch.tensor([low, high, 0, low + 1, high - 1])
    assert not counted(inside, low, high).any()
    values = [low - d for d in distances] + [high + d for d in distances]
    x = torch.tensor([*values, *inside.tolist()])
    made = counted(x, low, high)
    assert torch.equal(made, one_by_one(x, low, high))
    assert int(made[:64].sum()) == len(values)
    assert made[0] == made[32] == 1 and made[1] == made[33] == 2


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('dtype', [torch.int16, torch.int32, torch.int64])
def test_drawn_values(seed, dtype):
    torch.manual_seed(seed)
    low, high = -int(torch.randint(1, 300, ())), int(torch.randint(1, 300, ()))
    x = (torch.randn(5, 40) * 10 ** torch.randint(1, 5, (5, 1))).to(dtype)
    assert torch.equal(counted(x, low, high), one_by_one(x, low, high))


def test_counts_add_up():
    x = torch.tensor([-200, 130, 129, 0])
    counts = counted(x, -128, 127)
    count_outside(x, -128, 127, counts)
    assert torch.equal(counts[:64], 2 * counted(x, -128, 127)[:64])
    assert counts[64:].tolist() == [72, 3]


def test_nothing_and_no_values():
    assert not counted(torch.empty(0, 4, dtype=torch.int32), -1, 1).any()
    assert not counted(torch.zeros(3, dtype=torch.int8), -1, 1).any()


def test_reach_holds_the_range():
    for low, high in ((-128, 127), (0, 2**17), (-(2**31) + 1, 2**31 - 1)):
        first, last = reach(low, high)
        assert first <= low and high <= last
