"""Operations that move numbers keep integers, scale and source."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from iptq_mm.intmath import QParams
from iptq_mm.modes import Integer
from iptq_mm.plan import RegionPlan
from iptq_mm.qtensor import QTensor, UnsupportedOperationError, WeightQParams
from iptq_mm.qtensor.context import Location, located

QPARAMS = QParams(0.25, -128, 127)
MODE = Integer(RegionPlan('Test'))


@pytest.fixture(autouse=True)
def location():
    with located(Location(MODE, 'test')):
        yield


def integers(*shape, dtype=torch.int8):
    return torch.randint(-128, 128, shape, dtype=dtype)


def wrapped(payload):
    return QTensor(payload, QPARAMS, 'here')


MOVES = {
    'view': lambda x: x.view(2, -1),
    'reshape': lambda x: x.transpose(0, 1).reshape(-1),
    'torch.reshape': lambda x: torch.reshape(x, (-1, 2)),
    'flatten': lambda x: x.flatten(1),
    'unflatten': lambda x: x.flatten().unflatten(0, (2, -1)),
    'permute': lambda x: x.permute(3, 0, 2, 1),
    'transpose': lambda x: torch.transpose(x, 1, 2),
    'swapaxes': lambda x: x.swapaxes(0, 3),
    'movedim': lambda x: x.movedim(0, 2),
    'mT': lambda x: x.mT,
    'T': lambda x: x[0, 0].T,
    't': lambda x: x[0, 0].t(),
    'squeeze': lambda x: x[:, :1].squeeze(1),
    'unsqueeze': lambda x: x.unsqueeze(-2),
    'expand': lambda x: x[:1].expand(5, -1, -1, -1),
    'expand_as': lambda x: x[:1].expand_as(x),
    'view_as': lambda x: x.flatten(1).view_as(x),
    'reshape_as': lambda x: x.mT.reshape_as(x),
    'repeat': lambda x: x.repeat(2, 1, 1, 3),
    'repeat_interleave': lambda x: x.repeat_interleave(2, 1),
    'tile': lambda x: x.tile(2),
    'chunk': lambda x: x.chunk(2, -1)[1],
    'split': lambda x: torch.split(x, [1, 2], 1)[1],
    'unbind': lambda x: torch.unbind(x, 2)[3],
    'iteration': lambda x: list(x)[1],
    'unpacking': lambda x: (lambda a, b: b)(*x),
    'roll': lambda x: torch.roll(x, (-1, 2), (1, 3)),
    'flip': lambda x: x.flip(1, 2),
    'rot90': lambda x: torch.rot90(x, 1, (2, 3)),
    'narrow': lambda x: x.narrow(3, 1, 2),
    'select': lambda x: x.select(1, 2),
    'index_select': lambda x: x.index_select(1, torch.tensor([2, 0])),
    'gather': lambda x: x.gather(1, torch.zeros(2, 1, 4, 4, dtype=torch.long)),
    'getitem': lambda x: x[..., None, 1:, [0, 2]],
    'mask': lambda x: x[torch.ones(2, 3) > 0],
    'contiguous': lambda x: x.mT.contiguous(),
    'clone': lambda x: x.clone(),
    'detach': lambda x: x.detach(),
    'pixel_shuffle': lambda x: F.pixel_shuffle(x.repeat(1, 4, 1, 1), 2),
    'pixel_unshuffle': lambda x: F.pixel_unshuffle(x, 2),
    'pad': lambda x: F.pad(x, (1, 2, 0, 3)),
    'negative pad': lambda x: F.pad(x, (-1, 0)),
    'zero pad': lambda x: F.pad(x, (0, 0), value=0.0),
    'reflect': lambda x: F.pad(x, (1, 2, 3, 0), mode='reflect'),
    'replicate': lambda x: F.pad(x, (1, 2, 0, 5), mode='replicate'),
    'circular': lambda x: F.pad(x, (1, 2, 0, 3), mode='circular'),
    'float': lambda x: x.float().to(torch.float32),
    'dropout': lambda x: F.dropout(x, 0.3, False),
}


@pytest.mark.parametrize('dtype', [torch.int8, torch.int16, torch.int32])
@pytest.mark.parametrize('name', MOVES)
def test_moves(name, dtype):
    q = integers(2, 3, 4, 4, dtype=dtype)
    moved = MOVES[name](wrapped(q))
    assert isinstance(moved, QTensor)
    expected = MOVES[name](q.double())
    assert moved.payload.dtype == dtype
    assert torch.equal(moved.payload.double(), expected.double())
    assert moved.shape == expected.shape
    assert (moved.qparams, moved.source, moved.constant) == (QPARAMS, 'here', False)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 3),
    st.integers(1, 4),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.integers(1, 3),
    st.tuples(st.integers(4, 7), st.integers(4, 7)),
)
def test_unfold(batch, kernel, padding, stride, size):
    q = integers(batch, 3, *size)
    with located(Location(MODE, 'test')):
        x = F.unfold(wrapped(q), kernel, padding=padding, stride=stride)
    expected = F.unfold(q.double(), kernel, padding=padding, stride=stride)
    assert torch.equal(x.payload.double(), expected)
    assert x.payload.dtype == torch.int8


def test_a_weight_that_is_viewed_becomes_a_constant():
    scale = torch.tensor([1.0, 0.5])
    weight = QTensor(integers(2, 6), WeightQParams(scale, 127), 'parameter:w', True)
    weight.whole = True
    real = weight.real_values()
    part = weight[1:]
    assert isinstance(part.qparams, QParams) and not part.whole
    torch.testing.assert_close(part.real_values(), real[1:], rtol=1e-3, atol=1e-3)
    for same in (weight.contiguous(), weight.detach(), weight.clone()):
        assert same.whole and same.qparams is weight.qparams
    with pytest.raises(UnsupportedOperationError, match='one scale per channel'):
        weight.scaled(2.0)


def test_plain_tensors_keep_out():
    with pytest.raises(UnsupportedOperationError, match='plain tensor'):
        torch.arange(9.0).index_select(0, wrapped(integers(2)))
