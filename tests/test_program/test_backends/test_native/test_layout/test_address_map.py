"""Loops that visit the offsets of several tensors in order."""

import pytest
import torch

from iptq_mm.native.storage import Storage, Type
from iptq_mm.program.backends.native.layout.address_map import (
    ReshapedMap,
    common_strides,
)
from iptq_mm.program.backends.native.layout.tensor_ref import TensorRef


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


MOVES = {
    'merged': [('permute', (2, 0, 1)), ('reshape', (20, 6))],
    'merged, turned': [
        ('permute', (2, 0, 1)),
        ('reshape', (20, 6)),
        ('permute', (1, 0)),
    ],
    'merged twice': [
        ('permute', (2, 0, 1)),
        ('reshape', (20, 6)),
        ('reshape', (4, 1, 30)),
        ('permute', (2, 1, 0)),
        ('reshape', (30, 4)),
    ],
    'divided': [
        ('permute', (1, 2, 0)),
        ('reshape', (8, 15)),
        ('permute', (1, 0)),
    ],
    'ones': [
        ('permute', (2, 1, 0)),
        ('reshape', (1, 4, 30, 1)),
        ('permute', (3, 2, 0, 1)),
    ],
    'negative': [('permute', (2, 1, 0)), ('reshape', (4, 30)), ('permute', (-1, 0))],
}


@pytest.mark.parametrize('name', MOVES)
def test_reshapes_of_strided_tensors(name):
    """Maps that are made when they are asked for, or never."""
    x = torch.arange(120).view(6, 5, 4)
    ref = TensorRef.new(Storage(Type.I16), (6, 5, 4))
    for kind, numbers in MOVES[name]:
        attributes = {'dims' if kind == 'permute' else 'shape': list(numbers)}
        x = x.permute(numbers) if kind == 'permute' else x.reshape(numbers)
        ref = ref.moved(kind, attributes)
        assert ref.shape == x.shape
    assert torch.equal(ref.as_address_map().of_elements(), x)


def test_a_turned_reshape_keeps_its_strides():
    ref = TensorRef.new(Storage(Type.I16), (6, 5, 4)).permuted([2, 0, 1])
    ref = ref.moved('reshape', {'shape': [24, 5]}).permuted([1, 0])
    made = ref.address_map
    assert isinstance(made, ReshapedMap)
    assert made.source == ((5, 4, 6), (4, 1, 20), 0)


@pytest.mark.parametrize('order', [(0, 1, 2), (0, 2, 1), (2, 0, 1)])
@pytest.mark.parametrize(
    'shape, strides, by_strides',
    [
        ((6, 2, 5, 2), (20, 2, 4, 1), True),  # halves of the last one
        ((6, 4, 2, 2), (20, 4, 4, 2), True),  # windows that share elements
        ((5, 4, 3), (20, 4, 4), False),  # beyond the end of a dimension
        ((3, 5, 4), (40, 4, 1), True),
        ((3, 5, 4), (40, 0, 1), True),
        ((40, 3), (3, 1), False),
    ],
)
def test_windows(order, shape, strides, by_strides):
    """Windows of a contiguous tensor that is stored in another order."""
    inverse = [order.index(d) for d in range(3)]
    size = [(6, 5, 4)[d] for d in order]
    ref = TensorRef.new(Storage(Type.I16), tuple(size)).permuted(inverse)
    x = torch.arange(120).view(size).permute(inverse)
    made = ref.moved('strided', {'shape': shape, 'strides': strides, 'offset': 0})
    wanted = x.contiguous().as_strided(shape, strides)
    assert torch.equal(made.as_address_map().of_elements(), wanted)
    assert (made.address_map is None) == by_strides
