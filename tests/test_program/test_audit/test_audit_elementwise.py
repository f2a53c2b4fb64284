"""Each element by element operation, against torch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iptq_mm.program.audit.elementwise import ELEMENTWISE
from iptq_mm.program.audit.interval import Interval, Unproven

OPERATIONS = {str(op): op for op in ELEMENTWISE}


def arguments(op, draw):
    """Intervals for the arguments, and which of them are scalars."""
    given, name = [], op.overloadpacket.__name__
    for i, arg in enumerate(op._schema.arguments):
        if arg.kwarg_only or arg.name == 'alpha':
            continue
        low = draw(st.integers(-60, 60))
        interval = Interval(low, low + draw(st.integers(0, 30)))
        if name.endswith('shift') and i == 1:
            interval = Interval(3, 3 + draw(st.integers(0, 6)))
        if 'div' in name and i == 1:
            interval = Interval(1 + abs(low), 1 + abs(low) + draw(st.integers(0, 9)))
        if name == 'bitwise_and' and i == 1:
            interval = Interval.point(abs(low))
        if name in ('where', 'masked_fill') and 'Tensor' in str(arg.type):
            booleans = (name, arg.name) in {
                ('where', 'condition'),
                ('masked_fill', 'mask'),
            }
            interval = Interval(0, 1) if booleans else interval
        scalar = 'number' in str(arg.type) or 'Scalar' in str(arg.type)
        if scalar:
            interval = Interval.point(interval.low)
        given.append((interval, scalar, arg.name in ('condition', 'mask')))
    return given


@pytest.mark.parametrize('name', OPERATIONS)
@settings(deadline=None, max_examples=15)
@given(data=st.data(), seed=st.integers(0, 999))
def test_results_lie_within(name, data, seed):
    op = OPERATIONS[name]
    kinds = arguments(op, data.draw)
    generator = torch.Generator().manual_seed(seed)
    inputs = []
    for interval, scalar, boolean in kinds:
        x = torch.randint(interval.low, interval.high + 1, (64,), generator=generator)
        x[:2] = torch.tensor([interval.low, interval.high])
        inputs.append(int(x[0]) if scalar else x.bool() if boolean else x)
    options = {'rounding_mode': 'trunc'} if 'rounding_mode' in str(op._schema) else {}
    result = op(*inputs, **options)
    assert not result.is_floating_point() or name.startswith('aten.scalar_tensor')
    said = ELEMENTWISE[op](*[interval for interval, _, _ in kinds], **options)
    assert said.holds(Interval.of_tensor(result.long()))


def test_division_makes_floats_unless_it_rounds():
    divide = ELEMENTWISE[torch.ops.aten.div.Tensor_mode]
    one = Interval(1, 2)
    assert divide(one, one, rounding_mode='floor') == Interval(0, 2)
    with pytest.raises(Unproven, match='makes floats'):
        divide(one, one)


@pytest.mark.parametrize(
    ('a', 'b', 'greater', 'equal'),
    [
        ((3, 5), (1, 2), (1, 1), (0, 0)),
        ((1, 2), (3, 5), (0, 0), (0, 0)),
        ((1, 3), (3, 5), (0, 0), (0, 1)),
        ((1, 4), (3, 5), (0, 1), (0, 1)),
        ((4, 4), (4, 4), (0, 0), (1, 1)),
    ],
)
def test_comparisons_are_decided_where_they_can_be(a, b, greater, equal):
    a, b = Interval(*a), Interval(*b)
    aten = torch.ops.aten
    assert ELEMENTWISE[aten.gt.Tensor](a, b) == Interval(*greater)
    assert ELEMENTWISE[aten.lt.Tensor](b, a) == Interval(*greater)
    assert ELEMENTWISE[aten.eq.Tensor](a, b) == Interval(*equal)


def test_where_takes_one_side_where_the_condition_is_known():
    where = ELEMENTWISE[torch.ops.aten.where.self]
    one, other = Interval(1, 2), Interval(8, 9)
    assert where(Interval.point(1), one, other) == one
    assert where(Interval.point(0), one, other) == other
    assert where(Interval(0, 1), one, other) == Interval(1, 9)
