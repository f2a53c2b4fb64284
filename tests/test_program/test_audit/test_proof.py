"""Proofs of graphs: what runs stays within them, and what is wrong is named."""

from collections.abc import Callable

import pytest
import torch
from audit_cases import Watched, extremes, graph_of, proof_of, proved
from hypothesis import given, settings
from hypothesis import strategies as st
from program_cases import LONE, function_program, functions
from torch import Tensor, fx

from iptq_mm.intmath import isqrt
from iptq_mm.program.audit.facts import Fact
from iptq_mm.program.audit.interval import Interval
from iptq_mm.program.audit.proof import Refuted, prove

SHAPE = (3, 5)
#: Steps of random graphs: from two earlier values and a number to a new value.
STEPS: dict[str, Callable[[Tensor, Tensor, int], Tensor]] = {
    'add': lambda a, b, n: a + b,
    'sub': lambda a, b, n: a - b,
    'mul': lambda a, b, n: a * b,
    'scale': lambda a, b, n: a * (n - 9),
    'square': lambda a, b, n: a * a,
    'negative': lambda a, b, n: -a,
    'magnitude': lambda a, b, n: a.abs(),
    'least': lambda a, b, n: torch.minimum(a, b),
    'most': lambda a, b, n: torch.maximum(a, b),
    'clamp': lambda a, b, n: a.clamp(-n, 3 * n),
    'up': lambda a, b, n: a << n % 7,
    'down': lambda a, b, n: a >> n % 7,
    'divide': lambda a, b, n: a // (n + 1),
    'quotient': lambda a, b, n: a // b.clamp_min(n + 1),
    'mask': lambda a, b, n: a & ((1 << n % 8) - 1),
    'choose': lambda a, b, n: torch.where(a > b, a, b + n),
    'sum': lambda a, b, n: a.sum(-1, keepdim=True) + b,
    'distance': lambda a, b, n: a.amax(-1, keepdim=True) - a,
    'narrow': lambda a, b, n: a.clamp(-99, 99).to(torch.int8).long(),
    'rolled': lambda a, b, n: a.roll(n, 1).reshape(-1).reshape(SHAPE),
    'root': lambda a, b, n: isqrt(a.clamp_min(0)),
}
steps = st.lists(
    st.tuples(
        st.sampled_from(sorted(STEPS)),
        st.integers(0, 99),
        st.integers(0, 99),
        st.integers(0, 20),
    ),
    min_size=1,
    max_size=7,
)


@settings(deadline=None, max_examples=60)
@given(steps, st.integers(-(2**15), 2**15), st.integers(0, 2**16), st.integers(0, 99))
def test_values_of_random_graphs_lie_within(taken, low, span, seed):
    def function(x: Tensor, y: Tensor) -> Tensor:
        known = [x, y]
        for name, i, j, n in taken:
            a, b = known[-1 - i % len(known)], known[j % len(known)]
            known.append(STEPS[name](a, b, n))
        return known[-1]

    example = torch.zeros(SHAPE, dtype=torch.int64)
    graph = graph_of(function, example, example)
    facts = [Fact(Interval(low, low + span)), Fact(Interval(-50, 50))]
    try:
        proof = prove(graph, facts)
    except Refuted:
        return  # a long chain of products does overflow
    xs = extremes(SHAPE, low, low + span, seed)
    ys = extremes(SHAPE, -50, 50, seed + 1)
    for x, y in zip(xs, reversed(ys), strict=True):
        Watched(graph, proof.facts).run(x, y)


FORMS = {f'{n} {o or ""}'.strip(): (n, o) for n, o in functions()}


@pytest.mark.parametrize('name', FORMS)
def test_every_value_of_every_function_lies_within(name):
    program = function_program(*FORMS[name])
    graph, proof = proof_of(program)
    (value,) = [program.values[port.value] for port in program.inputs]
    tensors = [program.tensors[x] for x in program.nodes[0].tensors]
    for x in extremes(value.shape, value.low, value.high):
        Watched(graph, proof.facts).run(x.to(value.dtype), *tensors)


@pytest.mark.parametrize('name', LONE)
def test_every_value_of_every_kind_lies_within(name):
    program = LONE[name]()
    graph, proof = proof_of(program)
    values = [program.values[port.value] for port in program.inputs]
    tensors = [program.tensors[x] for x in program.nodes[0].tensors]
    every = [extremes(v.shape, v.low, v.high, i) for i, v in enumerate(values)]
    for inputs in zip(*every, strict=True):
        typed = [x.to(v.dtype) for x, v in zip(inputs, values, strict=True)]
        Watched(graph, proof.facts).run(*typed, *tensors)


REFUTED = {
    'a float result': (
        lambda x: x * 0.5,
        'aten.mul.Tensor',
        'makes a tensor of floats',
    ),
    'a float on the way': (
        lambda x: (x / 3).long(),
        'aten.div.Tensor',
        'makes a tensor of floats',
    ),
    'a cast to a float': (
        lambda x: x.double().long(),
        'aten._to_copy.default',
        'makes a tensor of floats',
    ),
    'an operation that nobody knows': (
        lambda x: x.cumsum(0),
        'aten.cumsum.default',
        'an operation that the audit does not know',
    ),
    'a sum that overflows': (
        lambda x: x.to(torch.int32) * 2**20 + 2**30,
        'aten.mul.Tensor',
        'torch.int32 does not hold -1048576000..1048576000000',
    ),
    'a cast that is too narrow': (
        lambda x: x.to(torch.int16),
        'aten._to_copy.default',
        'torch.int16 does not hold -1000..1000000',
    ),
    'a number that the type does not hold': (
        lambda x: x.clamp(0, 1).to(torch.int8) * 300,
        'aten.mul.Tensor',
        'torch.int8 does not hold',
    ),
    'a comparison with such a number': (
        lambda x: x.clamp(0, 1).to(torch.int8) > 300,
        'aten.gt.Scalar',
        'torch.int8 does not hold the operand 300..300',
    ),
    'a negative shift': (
        lambda x: x >> x,
        'aten.bitwise_right_shift.Tensor',
        'a shift by -1000..1000000 bits',
    ),
    'a shift by all the bits': (
        lambda x: x.clamp(0, 9).to(torch.int32) >> 32,
        'aten.bitwise_right_shift.Tensor_Scalar',
        'a shift of torch.int32 by 32..32 bits',
    ),
    'a division by 0': (
        lambda x: 7 // x,
        'aten.floor_divide.default',
        'the divisor may be 0: it lies in -1000..1000000',
    ),
    'a sum whose part overflows': (
        lambda x: (x << 42).sum(-1, keepdim=True),
        'aten.sum.dim_IntList',
        'torch.int64 does not hold',
    ),
    'a product that overflows': (
        lambda x: torch.mm(x << 22, x.t()),
        'aten.mm.default',
        'torch.int64 does not hold',
    ),
    'a result of several tensors': (
        lambda x: x.max(0).values,
        'aten.max.dim',
        'is no operation that makes one tensor',
    ),
    'numbers that nobody fed': (
        lambda x: x + torch.tensor([3, 1, 2, 9, 7]),
        '_tensor_constant0',
        'is no operation that makes one tensor',
    ),
    'a weight whose sums overflow': (
        lambda x: torch.mm(x, torch.ones_like(x).t() << 61),
        'aten.mm.default',
        'torch.int64 does not hold',
    ),
    'an alpha': (
        lambda x: torch.add(x, x, alpha=3),
        'aten.add.Tensor',
        'its arguments are not those that are known',
    ),
}  # fmt: skip


@pytest.mark.parametrize('name', REFUTED)
def test_what_is_wrong_is_named(name):
    function, operation, problem = REFUTED[name]
    with pytest.raises(Refuted, match=problem) as caught:
        proved(function, (SHAPE, -1000, 10**6))
    assert caught.value.operation == operation


def test_an_index_outside_of_a_table():
    def look(x: Tensor, table: Tensor) -> Tensor:
        return table.index_select(0, x.flatten())

    graph = graph_of(look, torch.zeros(SHAPE).long(), torch.zeros(8).long())
    table = Fact.of_tensor(torch.tensor([9, 1, 5, -3, 2, 8, 7, -70]))
    assert prove(graph, [Fact(Interval(1, 6)), table]).result.interval == Interval(
        -3, 8
    )
    with pytest.raises(Refuted, match='an index in 1..8 into 8 entries'):
        prove(graph, [Fact(Interval(1, 8)), table])


def test_constants_are_followed_number_by_number():
    constant = torch.tensor([5, 1, 3])
    graph = graph_of(lambda c: (c - 2) * (c - 2), constant)
    proof = prove(graph, [Fact.of_tensor(constant)])
    assert torch.equal(proof.result.tensor, torch.tensor([9, 1, 1]))
    assert proof.result.interval == Interval(1, 9)


def test_constants_may_not_overflow_either():
    constant = torch.tensor([2**40])
    graph = graph_of(lambda c: c * c, constant)
    with pytest.raises(Refuted, match='torch.int64 does not hold'):
        prove(graph, [Fact.of_tensor(constant)])


def test_a_graph_is_not_changed():
    graph = graph_of(lambda x: x * x + 1, torch.zeros(SHAPE).long())
    before = [n.format_node() for n in graph.graph.nodes]
    prove(graph, [Fact(Interval(0, 5))])
    assert before == [n.format_node() for n in graph.graph.nodes]
    assert isinstance(graph, fx.GraphModule)
