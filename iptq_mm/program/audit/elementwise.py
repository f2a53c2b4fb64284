"""What aten operations that work element by element make of intervals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import fx

from .interval import Interval, Unproven

_aten = torch.ops.aten

_ZERO, _ONE, _BIT = Interval.point(0), Interval.point(1), Interval(0, 1)


def _clamp(x: Interval, low: Any = None, high: Any = None) -> Interval:
    if low is not None:
        x = _maximum(x, low)
    return x if high is None else _minimum(x, high)


def _minimum(a: Interval, b: Interval) -> Interval:
    return Interval(min(a.low, b.low), min(a.high, b.high))


def _maximum(a: Interval, b: Interval) -> Interval:
    return Interval(max(a.low, b.low), max(a.high, b.high))


def _greater(a: Interval, b: Interval) -> Interval:
    return _ONE if a.low > b.high else _ZERO if a.high <= b.low else _BIT


def _greater_equal(a: Interval, b: Interval) -> Interval:
    return _ONE if a.low >= b.high else _ZERO if a.high < b.low else _BIT


def _equal(a: Interval, b: Interval) -> Interval:
    if a.high < b.low or b.high < a.low:
        return _ZERO
    return _ONE if a == b and a.low == a.high else _BIT


def _where(condition: Interval, a: Interval, b: Interval) -> Interval:
    if condition.low == condition.high:
        return a if condition.low else b
    return a.join(b)


def _sign(x: Interval) -> Interval:
    return _clamp(x, Interval.point(-1), _ONE)


def _divided(a: Interval, b: Interval, rounding_mode: str | None = None) -> Interval:
    if rounding_mode == 'trunc':
        return a.truncated(b)
    if rounding_mode == 'floor':
        return a // b
    raise Unproven('a division that is not rounded makes floats')


#: Operation -> from the intervals of its arguments (None: not given) to its own.
#: ``rounding_mode`` is passed on, other keywords say what type and where.
ELEMENTWISE: dict[Any, Callable[..., Interval]] = {
    _aten.abs.default: abs,
    _aten.add.Tensor: lambda a, b: a + b,
    _aten.bitwise_and.Scalar: lambda a, b: a & b,
    _aten.bitwise_and.Tensor: lambda a, b: a & b,
    _aten.bitwise_left_shift.Scalar_Tensor: lambda a, b: a << b,
    _aten.bitwise_left_shift.Tensor: lambda a, b: a << b,
    _aten.bitwise_left_shift.Tensor_Scalar: lambda a, b: a << b,
    _aten.bitwise_right_shift.Scalar_Tensor: lambda a, b: a >> b,
    _aten.bitwise_right_shift.Tensor: lambda a, b: a >> b,
    _aten.bitwise_right_shift.Tensor_Scalar: lambda a, b: a >> b,
    _aten.clamp.default: _clamp,
    _aten.clamp.Tensor: _clamp,
    _aten.clamp_max.default: _minimum,
    _aten.clamp_max.Tensor: _minimum,
    _aten.clamp_min.default: _maximum,
    _aten.clamp_min.Tensor: _maximum,
    _aten.div.Tensor_mode: _divided,
    _aten.eq.Scalar: _equal,
    _aten.eq.Tensor: _equal,
    _aten.floor_divide.default: lambda a, b: a // b,
    _aten.full_like.default: lambda x, number: number,
    _aten.ge.Scalar: _greater_equal,
    _aten.ge.Tensor: _greater_equal,
    _aten.gt.Scalar: _greater,
    _aten.gt.Tensor: _greater,
    _aten.le.Scalar: lambda a, b: _greater_equal(b, a),
    _aten.le.Tensor: lambda a, b: _greater_equal(b, a),
    _aten.lt.Scalar: lambda a, b: _greater(b, a),
    _aten.lt.Tensor: lambda a, b: _greater(b, a),
    _aten.masked_fill.Scalar: lambda x, mask, number: _where(mask, number, x),
    _aten.maximum.default: _maximum,
    _aten.minimum.default: _minimum,
    _aten.mul.Scalar: lambda a, b: a * b,
    _aten.mul.Tensor: lambda a, b: a * b,
    _aten.neg.default: lambda x: -x,
    _aten.ones_like.default: lambda x: _ONE,
    _aten.relu.default: lambda x: _maximum(x, _ZERO),
    _aten.rsub.Scalar: lambda a, b: b - a,
    _aten.scalar_tensor.default: lambda number: number,
    _aten.sign.default: _sign,
    _aten.sub.Tensor: lambda a, b: a - b,
    _aten.where.self: _where,
    _aten.zeros_like.default: lambda x: _ZERO,
}

#: Those that only compare: their arguments need not fit the type of the result.
COMPARISONS = frozenset(
    op
    for op in ELEMENTWISE
    if op.overloadpacket in (_aten.eq, _aten.ge, _aten.gt, _aten.le, _aten.lt)
)

#: Those that shift: by less than the bits of the type.
SHIFTS = frozenset(
    op
    for op in ELEMENTWISE
    if op.overloadpacket in (_aten.bitwise_left_shift, _aten.bitwise_right_shift)
)

#: Operations that give each element of their first argument back, in its order.
SAME_ORDER = frozenset(
    {
        _aten._to_copy.default,
        _aten._unsafe_view.default,
        _aten.clone.default,
        _aten.contiguous.default,
        _aten.view.default,
        _aten.reshape.default,
        _aten.unsqueeze.default,
        _aten.squeeze.dim,
        _aten.alias.default,
        _aten.detach.default,
    }
)

#: Keywords that say only of what type a result is, or where.
_HARMLESS = {'dtype', 'layout', 'device', 'pin_memory', 'memory_format', 'non_blocking'}


def options_of(node: fx.Node) -> dict[str, Any]:
    """Keywords of a call that change the numbers."""
    return {k: v for k, v in node.kwargs.items() if k not in _HARMLESS}


def combined(node: fx.Node, interval_of: Callable[[Any], Interval]) -> Interval:
    """What an operation of :data:`ELEMENTWISE` makes of its operands' intervals.

    Args:
        node: The call.
        interval_of: What an operand, a node or a number, lies in.

    Raises:
        Unproven: If it is not defined for all of these.
        TypeError: If its arguments are not those that are known.
    """
    given = [None if x is None else interval_of(x) for x in node.args]
    return ELEMENTWISE[node.target](*given, **options_of(node))
