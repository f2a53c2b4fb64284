"""Loops that visit the offsets of several tensors in order."""

import pytest
import torch

from iptq_mm.program.backends.native.layout.address_map import common_strides


def visited(first, sizes, strides):
    """The offsets that loops visit."""
    offsets = torch.tensor(first)
    for size, stride in zip(sizes, strides, strict=True):
        offsets = offsets[..., None] + torch.arange(size) * stride
    return offsets.flatten()


@pytest.mark.parametrize('seed', range(30))
def test_loops_are_found_and_nothing_else(seed):
    generator = torch.Generator().manual_seed(seed)

    def draw(low, high, count):
        return torch.randint(low, high, (count,), generator=generator).tolist()

    count = draw(1, 5, 1)[0]
    sizes = [[2, 3, 7, 64, 65, 130][i] for i in draw(0, 6, count)]
    strides = [draw(0, 900, count) for _ in range(2)]
    flats = [visited(seed, sizes, each) for each in strides]
    found = common_strides(flats)
    assert found is not None
    for flat, each in zip(flats, found[1], strict=True):
        assert torch.equal(flat, visited(seed, found[0], each))
    for which in range(2):
        changed = [flat.clone() for flat in flats]
        at = draw(0, len(flats[0]), 1)[0]
        changed[which][at] += 1
        found = common_strides(changed)  # a few offsets make loops of any kind
        if found is not None:
            for flat, each in zip(changed, found[1], strict=True):
                first = int(flat[0])
                assert torch.equal(flat, visited(first, found[0], each))
        assert found is None or len(flats[0]) < 20


def test_the_ends():
    one = torch.tensor([5])
    assert common_strides([one, one]) == ([], [[], []])
    assert common_strides([one[:0], one[:0]]) is None
    assert common_strides([torch.arange(70) - 1]) is None  # -1 lies nowhere
    assert common_strides([torch.arange(69, -1, -1)]) == ([70], [[-1]])
    assert common_strides([torch.arange(68, -2, -1)]) is None
