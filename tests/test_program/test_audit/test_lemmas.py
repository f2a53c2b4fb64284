"""Each lemma: true of all inputs, needed, and silent where it does not apply."""

from collections.abc import Callable

import pytest
import torch
from audit_cases import Watched, extremes, graph_of
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from iptq_mm.intmath import bit_length, isqrt
from iptq_mm.program.audit.facts import Fact
from iptq_mm.program.audit.interval import Interval
from iptq_mm.program.audit.lemmas import LEMMAS
from iptq_mm.program.audit.proof import Proof, Refuted, prove

ROWS, N = 3, 5


def row_sum(x: Tensor) -> Tensor:
    return x.sum(-1, keepdim=True)


def peak(x: Tensor) -> Tensor:
    return x.amax(-1, keepdim=True)


def moments(q: Tensor) -> Tensor:
    total = row_sum(q)
    return row_sum(q * q) * N - total * total


def normalized(y: Tensor, v: Tensor, shift: int = 4, epsilon: int = 7) -> Tensor:
    return y * ((1 << 30) // isqrt((v << shift) + epsilon))


def centred(q: Tensor) -> Tensor:
    return q - (row_sum(q) + N // 2) // N


def share(q: Tensor, one: int = 1 << 20) -> Tensor:
    e = q.abs()
    total = row_sum(e).clamp_min(1)
    return e * (((total >> 1) + one) // total)


def clamped_share(q: Tensor) -> Tensor:
    e = q.abs() << 8
    return e * (((1 << 12) - 1) // row_sum(e).clamp(1, (1 << 12) - 1))


def share_of_two(q: Tensor) -> Tensor:
    e = q.abs()
    return e * (1000 // (e + (e & 3)).clamp_min(1))


#: Lemma -> functions that need it.
NEEDED: dict[str, list[Callable[[Tensor], Tensor]]] = {
    'square_of_a_number': [lambda q: q * q, lambda q: (q - 30) * (q - 30)],
    'distance_to_the_maximum': [
        lambda q: peak(q) - q,
        lambda q: q - peak(q),
        lambda q: q - peak(q).clamp_min(3),
        lambda q: peak(q).to(torch.int32) - q.to(torch.int32),
    ],
    'largest_of_a_row': [
        lambda q: row_sum(1 << (9 - (peak(q) - q).clamp(max=9))),
        lambda q: row_sum(((q - peak(q)) + 7).clamp_min(-2).view(-1).view(ROWS, N)),
    ],
    'share_of_a_sum': [share, clamped_share, share_of_two],
    'variance_of_a_row': [moments],
    'deviations_from_the_rounded_mean': [lambda q: row_sum(centred(q) * centred(q))],
    'normalized_row': [
        lambda q: normalized(q * N - row_sum(q), moments(q)),
        lambda q: normalized(q * N - row_sum(q), moments(q), 0, 1),
        lambda q: normalized(centred(q), row_sum(centred(q) * centred(q))),
        lambda q: normalized(q, row_sum(q * q), 2, 1),
    ],
    'integer_root': [lambda q: isqrt(q * q + 3)],
    'number_of_bits': [lambda q: bit_length(q * q)],
    'leading_bits': [
        lambda q: (q * q + 64) >> (bit_length(q * q + 64) - 3),
        lambda q: (q * q) >> (bit_length(q * q) + 1),
        lambda q: (q * q + 64) >> (bit_length((q * q + 64) // 5) + 0),
        lambda q: (q * q + 64) >> (bit_length((q * q + 64) // 5) - 2),
    ],
    'remainder': [lambda q: q - (q // 7) * 7, lambda q: q - (q // -7) * -7],
    'sum_of_shifts': [lambda q: q + (q >> 1) - (q >> 4)],
}
CASES = [(name, i) for name, functions in NEEDED.items() for i in range(len(functions))]


def attempt(function: Callable, low: int, high: int) -> tuple:
    graph = graph_of(function, torch.zeros(ROWS, N, dtype=torch.int64))
    return graph, prove(graph, [Fact(Interval(low, high))])


def test_every_lemma_is_tried():
    assert set(NEEDED) == {x.__name__ for lemmas in LEMMAS.values() for x in lemmas}


@pytest.mark.parametrize(('name', 'i'), CASES)
@settings(deadline=None, max_examples=6)
@given(
    low=st.integers(-100, 40),
    span=st.sampled_from([1, 30, 99]),
    seed=st.integers(0, 99),
)
def test_what_it_says_is_true(name, i, low, span, seed):
    low, high = max(low, -100), low + span
    try:
        graph, proof = attempt(NEEDED[name][i], low, high)
    except Refuted:
        return  # for these bounds even the lemma is no help
    for q in extremes((ROWS, N), low, high, seed):
        Watched(graph, proof.facts).run(q)


@pytest.mark.parametrize(('name', 'i'), CASES)
def test_it_is_used_where_it_is_needed(name, i):
    _, proof = attempt(NEEDED[name][i], -100, 77)
    assert proof.lemmas[name] >= 1


def used(function: Callable, low: int = -100, high: int = 77) -> Proof:
    return attempt(function, low, high)[1]


@pytest.mark.parametrize(
    ('name', 'function'),
    [
        # Nearly the same, but without what the lemma is about.
        ('square_of_a_number', lambda q: q * (q + 1)),
        ('distance_to_the_maximum', lambda q: peak(q) - (q + 1)),
        ('distance_to_the_maximum', lambda q: q.amax(0, keepdim=True) - q),
        ('distance_to_the_maximum', lambda q: peak(q).clamp(max=0) - q),
        ('largest_of_a_row', lambda q: (peak(q) - q).sum(0, keepdim=True)),
        ('variance_of_a_row', lambda q: row_sum(q * q) * 4 - row_sum(q) * row_sum(q)),
        ('remainder', lambda q: q - (q // 7) * 6),
        ('remainder', lambda q: q - ((q + 1) // 7) * 7),
        ('sum_of_shifts', lambda q: q + (q >> 1) - ((q + 1) >> 4)),
        (
            'deviations_from_the_rounded_mean',
            lambda q: row_sum((q - row_sum(q) // N) * (q - row_sum(q) // N)),
        ),
        ('share_of_a_sum', lambda q: q.abs() * (9999 // (row_sum(q.abs()) // 2 + 1))),
        ('normalized_row', lambda q: normalized(q + 1, row_sum(q * q))),
        ('normalized_row', lambda q: q * (-9 // isqrt((row_sum(q * q) << 2) + 1))),
        ('normalized_row', lambda q: q * ((1 << 30) // (isqrt(row_sum(q * q)) + 1))),
        ('leading_bits', lambda q: (q * q + 64) >> (bit_length(q * q + 65) - 3)),
    ],
)
def test_it_is_silent_where_it_does_not_apply(name, function):
    assert name not in used(function).lemmas


def test_without_the_lemma_there_is_no_proof(monkeypatch):
    """The sum of squares less the squared sum is positive: intervals do not see it."""

    def inverse(q: Tensor) -> Tensor:
        return (1 << 40) // isqrt(moments(q) + 1)

    assert used(inverse).result.interval.high == 1 << 40
    for operation in list(LEMMAS):
        monkeypatch.delitem(LEMMAS, operation)
    with pytest.raises(Refuted, match='the divisor may be 0'):
        used(inverse)
