"""The proof for one aten graph: integers throughout, and none leaves its type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx

from .collective import COLLECTIVE, PRODUCTS, Gathered
from .elementwise import COMPARISONS, ELEMENTWISE, SHIFTS, combined, options_of
from .facts import Fact, Facts, shape_of
from .interval import INTEGER_TYPES, Interval, Unproven
from .lemmas import LEMMAS
from .peaks import peak_of


class Refuted(Unproven):
    """What cannot be shown, with the operation that it is about."""

    def __init__(self, operation: str, problem: str) -> None:
        super().__init__(f'{operation}: {problem}')
        self.operation, self.problem = operation, problem


@dataclass
class Proof:
    """What holds for every input of a graph.

    Attributes:
        facts: Of every value.
        result: Of what it returns.
        dtype: Type of that.
        shape: Shape of that.
        lemmas: How often each lemma made an interval smaller.
        widest: For each width of type the most bits, sign included, of any value.
        products: What partial sums of products lie in.
    """

    facts: Facts = field(default_factory=Facts)
    result: Fact = Fact(Interval.point(0))
    dtype: torch.dtype = torch.int64
    shape: tuple[int, ...] = ()
    lemmas: Counter[str] = field(default_factory=Counter)
    widest: dict[int, int] = field(default_factory=dict)
    products: list[Interval] = field(default_factory=list)


def prove(graph: fx.GraphModule, feeds: Sequence[Fact]) -> Proof:
    """Follow intervals through a graph, operation by operation.

    Args:
        graph: Aten operations without mutation.
        feeds: What is known of each placeholder.

    Raises:
        Refuted: At the first operation that is unknown, knows floats, or of which
            it cannot be shown that what it computes fits its type.
    """
    proof = Proof()
    facts = proof.facts
    given = iter(feeds)
    for node in graph.graph.nodes:
        if node.op == 'placeholder':
            facts[node] = next(given)
        elif node.op == 'output':
            made = node.args[0]
            proof.result, proof.dtype = facts[made], made.meta['val'].dtype
            proof.shape = shape_of(made)
        else:
            try:
                facts[node] = _call(node, proof)
            except Unproven as error:
                raise Refuted(str(node.target), str(error)) from None
    return proof


def _call(node: fx.Node, proof: Proof) -> Fact:
    """What is known of a call's result."""
    facts = proof.facts
    made = _check_integer(node)
    known = _gathered(facts, node)
    interval = known.interval
    for lemma in LEMMAS.get(node.target, ()):
        said = lemma(facts, node)
        if said is not None and not said.holds(interval):
            proof.lemmas[lemma.__name__] += 1
            interval = interval.meet(said)
    _check_fits(facts, node, [interval, *([known.partial] if known.partial else [])])
    _note_width(proof, made.dtype, interval)
    if node.target in PRODUCTS and known.partial:
        proof.products.append(known.partial)
    tensor = _folded(facts, node)
    if tensor is not None:
        return Fact.of_tensor(tensor)
    return Fact(interval, None, peak_of(facts, node, interval))


def _note_width(proof: Proof, dtype: torch.dtype, interval: Interval) -> None:
    if dtype != torch.bool:
        width = dtype.itemsize * 8
        needed = max(interval.high.bit_length(), (~interval.low).bit_length()) + 1
        proof.widest[width] = max(proof.widest.get(width, 0), needed)


def _gathered(facts: Facts, node: fx.Node) -> Gathered:
    """What the operands' intervals say, whatever correlates them."""
    try:
        if node.target in ELEMENTWISE:
            return Gathered(combined(node, facts.interval))
        if node.target in COLLECTIVE:
            given = _facts_in(facts, node.args)
            return COLLECTIVE[node.target](node, *given, **options_of(node))
    except TypeError as error:
        raise Unproven(f'its arguments are not those that are known: {error}') from None
    raise Unproven('an operation that the audit does not know')


def _facts_in(facts: Facts, args: Sequence[Any]) -> list[Any]:
    return [
        facts[a]
        if isinstance(a, fx.Node)
        else _facts_in(facts, a)
        if isinstance(a, list | tuple)
        else a
        for a in args
    ]


def _check_integer(node: fx.Node) -> Tensor:
    """What a call makes; raise Unproven if a float is made, or one takes part."""
    made = node.meta.get('val')
    if node.op != 'call_function' or not isinstance(made, Tensor):
        raise Unproven(f'{node.format_node()} is no operation that makes one tensor')
    dtype = made.dtype
    if dtype not in INTEGER_TYPES:
        raise Unproven(f'makes a tensor of floats ({dtype})')
    for x in _leaves((node.args, tuple(node.kwargs.values()))):
        if isinstance(x, float | complex):
            raise Unproven(f'takes the float {x}')
        if isinstance(x, torch.dtype) and x not in INTEGER_TYPES:
            raise Unproven(f'computes in floats ({x})')
    return made


def _check_fits(facts: Facts, node: fx.Node, results: Sequence[Interval]) -> None:
    """Raise Unproven if a result, or a number on its way to it, leaves its type."""
    dtype = node.meta['val'].dtype
    for result in results:
        if not Interval.of_type(dtype).holds(result):
            raise Unproven(f'{dtype} does not hold {result}: {_given(facts, node)}')
    if node.target not in ELEMENTWISE:
        return
    operands = [x for x in node.args if x is not None]
    if node.target in COMPARISONS:
        dtype = _compared_in(operands)
    for x in operands:
        if not Interval.of_type(dtype).holds(facts.interval(x)):
            raise Unproven(f'{dtype} does not hold the operand {facts.interval(x)}')
    if node.target in SHIFTS:
        amount = facts.interval(operands[1])
        if amount.high >= dtype.itemsize * 8:
            raise Unproven(f'a shift of {dtype} by {amount} bits')


def _compared_in(operands: Sequence[Any]) -> torch.dtype:
    dtypes = [x.meta['val'].dtype for x in operands if isinstance(x, fx.Node)]
    dtype = dtypes[0]
    for other in dtypes[1:]:
        dtype = torch.promote_types(dtype, other)
    return dtype


def _given(facts: Facts, node: fx.Node) -> str:
    nodes = [x for x in _leaves(node.args) if isinstance(x, fx.Node | int)]
    return f'operands in {", ".join(str(facts.interval(x)) for x in nodes[:3])}'


def _folded(facts: Facts, node: fx.Node) -> Tensor | None:
    """The result itself where no input has a part in it."""
    known = {x: facts[x].tensor for x in node.all_input_nodes}
    if not known or any(tensor is None for tensor in known.values()):
        return None
    args, kwargs = fx.map_arg((node.args, node.kwargs), known.__getitem__)
    return node.target(*args, **kwargs)  # type: ignore[operator]


def _leaves(x: Any) -> Iterator[Any]:
    if isinstance(x, list | tuple):
        for part in x:
            yield from _leaves(part)
    else:
        yield x
