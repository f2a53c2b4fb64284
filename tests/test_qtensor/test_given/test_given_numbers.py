"""Integers and booleans that a region is given: what stays exact, and what is read."""

import operator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from iptq_mm.modes import Region, bind
from iptq_mm.modes.base import FloatMode
from iptq_mm.modes.inputs.given import check_given, given_name
from iptq_mm.qtensor import QTensor, UnsupportedOperationError

LOW = torch.finfo(torch.float32).min


class Reading(FloatMode):
    """Notes what is read."""

    def __init__(self):
        self.read = []

    def read_given(self, x):
        self.read.append(x.source)
        return super().read_given(x)


class Block(nn.Module):
    """Runs a function of what it is given, and notes the result."""

    def __init__(self, body):
        super().__init__()
        self.table = nn.Parameter(torch.arange(12.0).view(6, 2))
        self.body, self.found = body, None

    def forward(self, *given_tensors):
        found = self.body(self, *given_tensors)
        is_value = isinstance(found, QTensor)
        self.found = (found.payload, found.given, found.exact) if is_value else found
        return 0


def run(body, *tensors):
    """Result, type, whether exact, and what was read."""
    block, mode = Block(body), Reading()
    bind(block, Region('backbone', mode))
    block(*tensors)
    return block.found, mode.read


COMPARISONS = [getattr(operator, n) for n in ('eq', 'ne', 'lt', 'le', 'gt', 'ge')]


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(-3, 4), min_size=1, max_size=8),
    st.sampled_from(COMPARISONS),
    st.integers(-5, 6),
    st.sampled_from([torch.int64, torch.int32, torch.bool]),
)
def test_comparisons(numbers, compare, number, dtype):
    x = torch.tensor(numbers).to(dtype)
    found, read = run(lambda m, x: compare(x, number), x)
    expected = compare(x, number)
    if read:  # in the middle of the range, no clamp tells equal ones apart
        assert compare in (operator.eq, operator.ne) and torch.equal(found, expected)
    else:
        payload, given_type, exact = found
        assert given_type == torch.bool and exact
        assert torch.equal(payload.bool(), expected)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(0, 1), min_size=1, max_size=8),
    st.sampled_from([torch.int64, torch.bool]),
)
def test_additive_masks(numbers, dtype):
    x = torch.tensor(numbers).to(dtype)
    bodies = [
        lambda m, x: (1.0 - x.float()) * LOW,
        lambda m, x: (1 - x.to(torch.float32)) * -10000.0,
        lambda m, x: (~x.bool()).float() * LOW,
        lambda m, x: (x == 0).to(torch.float32) * -1e9,
    ]
    if dtype == torch.int64:
        bodies.append(lambda m, x: (1 - x) * -1e4)
        bodies.append(lambda m, x: (1.0 - x) * -1e4)
    for body in bodies:
        (payload, given_type, exact), read = run(body, x)
        assert not read and given_type is None and exact
        assert torch.equal(payload, body(None, x) + 0.0)


def test_types_and_shapes():
    x = torch.tensor([[1, 0, 3]])

    def body(m, x):
        assert x.dtype == torch.int64 and not x.is_floating_point()
        assert x.bool().dtype == torch.bool and x.int().dtype == torch.int32
        assert torch.zeros_like(x).dtype == torch.int64
        assert torch.equal(torch.ones_like(x), torch.ones(1, 3, dtype=torch.int64))
        assert x.float().dtype == torch.float32
        return x[:, None, :2].expand(1, 4, 2).long()

    (payload, given_type, exact), read = run(body, x)
    assert payload.tolist() == [[[1, 0]] * 4] and given_type == torch.int64
    assert exact and not read


def test_sums():
    x = torch.tensor([2, 0, 3])
    (payload, given_type, _), _ = run(lambda m, x: 5 - (x + 1), x)
    assert payload.tolist() == [2, 4, 1] and given_type == torch.int64


@pytest.mark.parametrize(
    'body',
    [
        lambda m, x: x.cumsum(0),
        lambda m, x: x.argmax(),
        lambda m, x: torch.tensor(x.tolist()),
        lambda m, x: x.max() + 1,
        lambda m, x: torch.arange(5)[x],
        lambda m, x: x // 2,
        lambda m, x: x & 1,
    ],
)
def test_other_functions_read_the_numbers(body):
    x = torch.tensor([2, 0, 3])
    found, read = run(body, x)
    assert set(read) == {given_name(0)}
    assert torch.equal(found, body(None, x))


def test_embedding():
    x = torch.tensor([[5, 0], [2, 2]])
    (payload, given_type, exact), read = run(lambda m, x: F.embedding(x, m.table), x)
    assert torch.equal(payload, torch.arange(12.0).view(6, 2)[x])
    assert given_type is None and not exact and not read
    with pytest.raises(UnsupportedOperationError, match='max_norm'):
        run(lambda m, x: F.embedding(x, m.table, max_norm=1.0), x)


def test_masked_fill_needs_a_low_number():
    def fill(value):
        return lambda m, x, mask: x.masked_fill(mask, value)

    x, mask = torch.randn(2, 3), torch.tensor([[True, False, True], [False] * 3])
    for value in (LOW, float('-inf'), torch.tensor(-1e4)):
        (payload, _, _), _ = run(fill(value), x, mask)
        assert torch.equal(payload[~mask], x[~mask]) and (payload[mask] < -32).all()
    with pytest.raises(UnsupportedOperationError, match='lower than any score'):
        run(fill(0.0), x, mask)
    with pytest.raises(UnsupportedOperationError, match='two tensors'):
        run(lambda m, x, mask: torch.where(mask, x, x + 1), x, mask)


def test_bounds_are_checked():
    check_given('given:0', torch.tensor([0, 9]), 0, 9)
    check_given('given:0', torch.tensor([True, False]), 0, 1)
    check_given('given:0', torch.zeros(0, dtype=torch.int64), 0, 1)
    with pytest.raises(ValueError, match='0..10, and the region takes 0..9: ids are'):
        check_given('given:0', torch.tensor([0, 10]), 0, 9)
