"""Whatever torch calls it: the canonical moves do the same."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from iptq_mm.program.ir.moves import MOVES, move, source_index, strided_view
from iptq_mm.program.tracing.canonical import canonical_moves

SHAPE = (4, 1, 6, 3)
X = torch.arange(1, 73).view(SHAPE)
INDEX = torch.tensor([2, 0, 2])
# Function, further arguments, the kinds that it becomes.
CASES = {
    'view': (Tensor.view, (4, 18), ['reshape']),
    'view of its own shape': (Tensor.view, SHAPE, []),
    'flatten': (Tensor.flatten, (1,), ['reshape']),
    'unflatten': (Tensor.unflatten, (2, (2, 3)), ['reshape']),
    'squeeze': (Tensor.squeeze, (1,), ['reshape']),
    'unsqueeze': (torch.unsqueeze, (0,), ['reshape']),
    'permute': (Tensor.permute, (2, 0, 3, 1), ['permute']),
    'transpose': (torch.transpose, (0, 2), ['permute']),
    'transpose that moves nothing': (Tensor.transpose, (0, 1), ['reshape']),
    'mT': (Tensor.mT.__get__, (), ['permute']),
    'expand': (Tensor.expand, (4, 5, 6, 3), ['expand']),
    'expand in front': (Tensor.expand, (2, 4, 1, 6, 3), ['reshape', 'expand']),
    'select': (Tensor.select, (2, 4), ['slice', 'reshape']),
    'narrow': (Tensor.narrow, (0, 1, 2), ['slice']),
    'chunk': (Tensor.chunk, (2, 2), ['slice']),
    'split': (torch.split, ([1, 3], 0), ['slice']),
    'unbind': (Tensor.unbind, (3,), ['slice', 'reshape']),
    'every other': (Tensor.__getitem__, (slice(None, None, 2),), ['slice']),
    'corner': (Tensor.__getitem__, ((..., slice(1, 5, 3), -1),), ['slice', 'reshape']),
    'roll': (torch.roll, ((1, -2), (2, -1)), ['roll']),
    'roll of all': (Tensor.roll, (5,), ['gather']),
    'pad': (F.pad, ((1, 2, 0, 3),), ['pad']),
    'pad by nothing': (F.pad, ((0, 0, 0, 0),), []),
    'crop': (F.pad, ((-1, 0, 0, 2),), ['gather']),
    'unfold': (Tensor.unfold, (2, 2, 2), ['strided']),
    'overlapping unfold': (Tensor.unfold, (2, 3, 1), ['strided']),
    'flip': (Tensor.flip, ((0, 3),), ['gather']),
    'repeat': (Tensor.repeat, (1, 2, 1, 1), ['gather']),
    'index_select': (torch.index_select, (3, INDEX), ['gather']),
    'list of indices': (Tensor.__getitem__, ([3, 0],), ['gather']),
    'mask': (Tensor.__getitem__, (X[:, 0, 0, 0] > 20,), ['gather']),
    'pixel_shuffle': (lambda x, n: F.pixel_shuffle(x, n), (1,), []),
}


def _follow(x: Tensor, moves) -> Tensor:
    for kind, attributes, shape, positions in moves:
        index = {} if positions is None else {'index': positions}
        known = source_index(kind, tuple(x.shape), attributes, **index)
        view = strided_view(kind, tuple(x.shape), attributes)
        flat = torch.cat([x.flatten(), x.new_zeros(1)])  # -1 is the zero
        x = x.contiguous()
        moved = move(kind, x, attributes, **index)
        assert moved.shape == shape and torch.equal(flat[known], moved)
        assert (view is None) == (kind in ('roll', 'pad', 'gather'))
        if view is not None:
            sizes, strides, offset = view
            place = offset + x.storage_offset()
            assert torch.equal(x.as_strided(sizes, strides, place), moved)
        x = moved
    return x


@pytest.mark.parametrize('name', CASES)
def test_moves_of_a_function(name):
    function, args, kinds = CASES[name]
    expected = function(X, *args)
    expected = [expected] if isinstance(expected, Tensor) else list(expected)
    outputs = canonical_moves(function, SHAPE, args, {})
    assert len(outputs) == len(expected)
    assert [m.kind for m in outputs[0]] == kinds
    for moves, tensor in zip(outputs, expected, strict=True):
        assert torch.equal(_follow(X, moves), tensor)


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4), st.integers(1, 3))),
    st.randoms(use_true_random=False),
)
def test_any_view(shape, cuts, random):
    """Slices of permuted slices: some are strided only, all are right."""
    x = torch.arange(1, torch.Size(shape).numel() + 1).view(shape)
    slices = tuple(slice(a, a + n, k) for a, n, k in cuts[: len(shape)])
    dims = random.sample(range(len(shape)), len(shape))

    def cut(t: Tensor) -> Tensor:
        return t[slices].permute(dims)

    expected = cut(x)
    if not expected.numel():
        return
    (moves,) = canonical_moves(cut, shape, (), {})
    assert torch.equal(_follow(x, moves), expected)


def test_every_kind_occurs():
    assert {k for _, _, kinds in CASES.values() for k in kinds} == set(MOVES)
