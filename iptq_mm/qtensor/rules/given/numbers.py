"""Comparisons, conversions and sums of given integers with numbers: exact."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from ....intmath import QParams, storage_dtype
from ...mode import Mode
from ...tensor import QTensor
from ..table import given_rule

_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def _with(x: QTensor, payload: Tensor, low: int, high: int, dtype: Any) -> QTensor:
    """Integers made of ``x``, with their bounds and the type that model code sees."""
    bounds = QParams(1.0, min(low, 0), max(high, 0, 1))
    stored = payload.to(storage_dtype(bounds.qmin, bounds.qmax))
    other = QTensor(stored, bounds, x.source)
    other.given, other.derived, other.exact = dtype, True, True
    return other


def _limits(x: QTensor) -> tuple[int, int]:
    assert isinstance(x.qparams, QParams)
    return x.qparams.qmin, x.qparams.qmax


def _number(other: Any) -> int | None:
    """An integer among the operands; None: something else."""
    if isinstance(other, Tensor) and not isinstance(other, QTensor):
        other = other.item() if other.numel() == 1 and not other.dim() else None
    if not isinstance(other, Real) or not float(other).is_integer():
        return None
    return round(float(other))


def _above(x: QTensor, number: int) -> QTensor:
    """Whether ``x > number``."""
    low, high = _limits(x)
    if low > number or high <= number:  # the same for all
        shape, device = x.payload.shape, x.payload.device
        payload = torch.full(shape, int(low > number), device=device)
    else:
        payload = (x.payload.long() + (-number)).clamp(0, 1)
    return _with(x, payload, 0, 1, torch.bool)


def _not(x: QTensor) -> QTensor:
    """Whether ``x`` is 0, of booleans."""
    return _with(x, -x.payload.long() + 1, 0, 1, torch.bool)


def _differs(x: QTensor, number: int) -> Any:
    low, high = _limits(x)
    if number <= low:
        return _above(x, number) if number == low else _above(x, low - 1)
    if number >= high:
        return _not(_above(x, number - 1)) if number == high else _above(x, low - 1)
    return NotImplemented


def _equals(x: QTensor, number: int) -> Any:
    other = _differs(x, number)
    return other if other is NotImplemented else _not(other)


_COMPARISONS: dict[str, Callable[[QTensor, int], Any]] = {
    'gt': _above,
    'ge': lambda x, n: _above(x, n - 1),
    'le': lambda x, n: _not(_above(x, n)),
    'lt': lambda x, n: _not(_above(x, n - 1)),
    'ne': _differs,
    'eq': _equals,
}


def _comparison(compare: Callable[[QTensor, int], Any]) -> Callable:
    def answer(mode: Mode, x: Any, other: Any) -> Any:
        number = _number(other)
        if not isinstance(x, QTensor) or number is None:
            return NotImplemented
        return compare(x, number)

    return answer


for _name, _compare in _COMPARISONS.items():
    given_rule(
        getattr(torch, _name), getattr(Tensor, _name), getattr(Tensor, f'__{_name}__')
    )(_comparison(_compare))


@given_rule(torch.logical_not, Tensor.logical_not, Tensor.__invert__, torch.bitwise_not)
def _invert(mode: Mode, x: QTensor) -> Any:
    if x.given == torch.bool:
        return _not(x)
    return NotImplemented


@given_rule(Tensor.to, Tensor.type, Tensor.type_as)
def _to(mode: Mode, x: Any, *args: Any, **kwargs: Any) -> Any:
    if not isinstance(x, QTensor):
        return NotImplemented
    for wanted in (*args, *kwargs.values()):
        dtype = wanted.dtype if isinstance(wanted, Tensor) else wanted
        if isinstance(dtype, torch.dtype):
            return _converted(mode, x, dtype)
    return x


def _converted(mode: Mode, x: QTensor, dtype: torch.dtype) -> Any:
    if dtype.is_floating_point:
        return x if x.given is None else mode.real_of_given(x)
    if dtype == torch.bool:
        return x if x.given == torch.bool else _differs(x, 0)
    other = x.like(x.payload)
    other.given = dtype
    return other


for _method, _dtype in (
    (Tensor.float, torch.float32),
    (Tensor.double, torch.float64),
    (Tensor.half, torch.float16),
    (Tensor.bool, torch.bool),
    (Tensor.long, torch.int64),
    (Tensor.int, torch.int32),
):
    given_rule(_method)(
        lambda mode, x, *args, _dtype=_dtype, **kwargs: _converted(mode, x, _dtype)
    )


def _sum(sign: int, number_sign: int) -> Callable:
    """The rule of ``sign * x + number_sign * number``, of given integers.

    With a number that is no integer, or of booleans, the result is a float.
    """

    def answer(mode: Mode, a: Any, b: Any) -> Any:
        x, other = (a, b) if isinstance(a, QTensor) else (b, a)
        if isinstance(other, QTensor) or not isinstance(other, Real):
            return NotImplemented
        if x.given == torch.bool or not isinstance(other, int):
            real = mode.real_of_given(x)
            return (real if sign == 1 else -real) + number_sign * float(other)
        q, ends = x.payload.long(), [sign * n for n in _limits(x)]
        q, shift = q if sign == 1 else -q, number_sign * other
        low, high = min(ends) + shift, max(ends) + shift
        return _with(x, q + shift if shift else q, low, high, x.given)

    return answer


for _functions, _signs in (
    ((torch.add, Tensor.add, Tensor.__add__, Tensor.__radd__), (1, 1)),
    ((torch.sub, Tensor.sub, Tensor.__sub__), (1, -1)),
    ((torch.rsub, Tensor.__rsub__), (-1, 1)),
):
    given_rule(*_functions)(_sum(*_signs))


@given_rule(torch.mul, Tensor.mul, Tensor.__mul__, Tensor.__rmul__)
def _product(mode: Mode, a: Any, b: Any) -> Any:
    x, other = (a, b) if isinstance(a, QTensor) else (b, a)
    if isinstance(other, QTensor) or not isinstance(other, Real):
        return NotImplemented
    return mode.real_of_given(x) * float(other)


@given_rule(torch.ones_like, torch.full_like)
def _filled(mode: Mode, x: QTensor, value: Any = 1, **kwargs: Any) -> Tensor:
    kwargs.setdefault('dtype', x.given)
    kwargs.setdefault('device', x.payload.device)
    return torch.full(x.payload.shape, value, **kwargs)
