"""Recognizing what a part of an aten graph computes.

Casts are no matter: each of them is proved to keep the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx

from ..lowering.capture import aten_graph
from .facts import shape_of

_aten = torch.ops.aten

_CASTS = (_aten._to_copy.default, _aten.clone.default)


def bare(x: Any) -> Any:
    """What was cast, if anything was."""
    while isinstance(x, fx.Node) and x.target in _CASTS:
        x = x.args[0]
    return x


def called(x: Any, *targets: Any) -> tuple | None:
    """Arguments of a call of one of some operations, but for casts."""
    x = bare(x)
    return x.args if isinstance(x, fx.Node) and x.target in targets else None


def same(a: Any, b: Any) -> bool:
    """Whether two arguments are the same numbers, computed in the same way."""
    a, b = bare(a), bare(b)
    if not isinstance(a, fx.Node) or not isinstance(b, fx.Node):
        return type(a) is type(b) and a == b
    return a is b or (
        a.op == b.op == 'call_function'
        and a.target == b.target
        and a.kwargs == b.kwargs
        and len(a.args) == len(b.args)
        and all(map(same, a.args, b.args))
    )


def either_way(args: tuple) -> Iterator[tuple[Any, Any]]:
    """Both orders of the two operands of a commutative operation."""
    yield args[0], args[1]
    yield args[1], args[0]


def row_sum(x: Any) -> Any:
    """What ``x`` sums up along the last dimension, if it does, else None."""
    return _reduced(x, _aten.sum.dim_IntList)


def row_maximum(x: Any) -> Any:
    """What ``x`` is the maximum of along the last dimension, else None."""
    return _reduced(x, _aten.amax.default)


def _reduced(x: Any, target: Any) -> Any:
    args = called(x, target)
    if args is None or len(args) != 3 or not args[2]:
        return None
    last = len(shape_of(args[0])) - 1
    return args[0] if list(args[1]) in ([-1], [last]) else None


def square(x: Any) -> Any:
    """What ``x`` is the square of, else None."""
    args = called(x, _aten.mul.Tensor)
    return args[0] if args is not None and same(*args[:2]) else None


def row_moments(x: Any) -> Any:
    """The q where ``x`` is ``n * sum(q*q) - sum(q)**2`` of rows of n, else None."""
    args = called(x, _aten.sub.Tensor)
    total = square(args[1]) if args else None
    times = called(args[0], _aten.mul.Tensor) if args else None
    q, squares = row_sum(total), row_sum(times[0]) if times else None
    if times is None or q is None or times[1] != shape_of(q)[-1]:
        return None
    return q if same(square(squares), q) else None


def centred_row(x: Any) -> Any:
    """The q where ``x`` is ``n * q - sum(q)`` of rows of n, else None."""
    args = called(x, _aten.sub.Tensor)
    times = called(args[0], _aten.mul.Tensor) if args else None
    q = row_sum(args[1]) if args else None
    if times is None or q is None or times[1] != shape_of(q)[-1]:
        return None
    return q if same(times[0], q) else None


def plus_constant(x: Any) -> tuple[Any, int]:
    """``(y, c)`` with ``x = y + c``, of the longest such chain."""
    total = 0
    while True:
        sign, args = 1, called(x, _aten.add.Tensor)
        if args is None:
            sign, args = -1, called(x, _aten.sub.Tensor)
        if args is None or type(args[1]) is not int:
            return bare(x), total
        x, total = args[0], total + sign * args[1]


class Template:
    """The graph of a function, to be found in other graphs.

    Args:
        function: A function of one int64 tensor.
    """

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self._function = function

    @cached_property
    def _result(self) -> fx.Node:
        graph = aten_graph(self._function, [torch.ones(2, 3, dtype=torch.int64)])
        (output,) = (n for n in graph.graph.nodes if n.op == 'output')
        return output.args[0]

    def argument(self, node: Any) -> Any:
        """What the function is applied to where ``node`` is its result, else None."""
        node = bare(node)
        bound: dict[fx.Node, Any] = {}
        if not isinstance(node, fx.Node) or node.target != self._result.target:
            return None

        def matches(part: Any, x: Any) -> bool:
            if isinstance(part, list | tuple):
                same_kind = isinstance(x, list | tuple) and len(part) == len(x)
                return same_kind and all(map(matches, part, x))
            if not isinstance(part, fx.Node):
                return type(part) is type(x) and part == x
            if part in bound:
                return bound[part] is x
            if not isinstance(x, fx.Node):
                return False
            bound[part] = x
            if part.op == 'placeholder':
                return True
            return (
                part.target == x.target
                and part.kwargs.get('dtype') == x.kwargs.get('dtype')
                and len(part.args) == len(x.args)
                and all(map(matches, part.args, x.args))
            )

        if not matches(self._result, node):
            return None
        (argument,) = (x for part, x in bound.items() if part.op == 'placeholder')
        return argument
