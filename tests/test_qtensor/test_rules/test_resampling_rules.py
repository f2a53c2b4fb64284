"""Nearest interpolation and pooling move integers, as torch does floats."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from iptq_mm.intmath import QParams
from iptq_mm.modes import Integer
from iptq_mm.plan import RegionPlan
from iptq_mm.program.tracing.canonical import canonical_moves
from iptq_mm.program.tracing.recorded import Recorded
from iptq_mm.program.tracing.recorder import Recorder
from iptq_mm.qtensor import QTensor, UnsupportedOperationError
from iptq_mm.qtensor.context import Location, located

QPARAMS = QParams(0.25, -128, 127)
MODE = Integer(RegionPlan('Test'))
sizes = st.integers(1, 9)


@pytest.fixture(autouse=True)
def location():
    with located(Location(MODE, 'test')):
        yield


def wrapped(*shape):
    return QTensor(torch.randint(-128, 128, shape, dtype=torch.int8), QPARAMS, 'here')


def check(func, x):
    """The same elements as torch's, at the same scale."""
    result = func(x)
    assert result.payload.dtype == torch.int8 and result.qparams == QPARAMS
    assert torch.equal(result.real_values(), func(x.real_values()))


@settings(deadline=None, max_examples=80)
@given(sizes, sizes, sizes, sizes, st.sampled_from(['nearest', 'nearest-exact']))
def test_sizes(height, width, new_height, new_width, mode):
    x = wrapped(2, 3, height, width)
    check(lambda t: F.interpolate(t, (new_height, new_width), mode=mode), x)


@settings(deadline=None, max_examples=40)
@given(sizes, sizes, st.floats(0.2, 3.5), st.sampled_from([None, True, False]))
def test_factors(height, width, factor, recompute):
    x = wrapped(1, 2, 4 + height, 4 + width)
    check(
        lambda t: F.interpolate(
            t, scale_factor=factor, recompute_scale_factor=recompute
        ),
        x,
    )
    check(torch.nn.Upsample(scale_factor=2), x)


@pytest.mark.parametrize(
    'size, kinds',
    [
        ((8, 6), ['reshape', 'expand', 'reshape']),
        ((4, 3), []),
        ((7, 3), ['gather']),
        ((4, 9), ['reshape', 'expand', 'reshape']),
    ],
)
def test_moves_of_the_program(size, kinds):
    recorder, x = Recorder(), wrapped(2, 3, 4, 3)
    number = recorder.input(x.payload.shape, -128, 127, 0.25)
    x.payload = Recorded.wrap(x.payload, recorder, number)
    F.interpolate(x, size)
    found = [node.kind for node in recorder.nodes]
    assert [k for k in found if k in kinds] == kinds and 'strided' not in found
    assert ('gather' in found) == ('gather' in kinds)


@settings(deadline=None, max_examples=40)
@given(sizes, sizes, st.integers(1, 3), st.booleans())
def test_pooling_with_a_kernel_of_1(height, width, stride, ceil_mode):
    x = wrapped(2, 3, height, width)
    check(lambda t: F.max_pool2d(t, 1, stride=stride, ceil_mode=ceil_mode), x)
    check(lambda t: F.max_pool2d(t, (1, 1), (stride, 1)), x)
    check(torch.nn.MaxPool2d(1), x)
    found = canonical_moves(
        torch.Tensor.__getitem__,
        x.shape,
        ((..., slice(None, None, stride), slice(None, None, stride)),),
        {},
    )
    assert {move.kind for move in found[0]} <= {'slice', 'reshape', 'strided'}


def test_what_has_no_rule():
    x = wrapped(1, 2, 4, 4)
    with pytest.raises(UnsupportedOperationError, match=r"mode='area' and 4"):
        F.interpolate(x, (8, 8), mode='area')
    with pytest.raises(UnsupportedOperationError, match='3 dimensions'):
        F.interpolate(x[0], 8)
