"""ONNX operators for each aten operation (see :mod:`.aten`)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from .arithmetic import elementwise, floor_divide, multiply, shift_left, shift_right
from .builder import Ref, holds, narrowest
from .calls import Call, emits
from .order import clamp, extreme, largest, total

_COMPARISONS = {
    'eq': 'Equal',
    'ge': 'GreaterOrEqual',
    'gt': 'Greater',
    'le': 'LessOrEqual',
    'lt': 'Less',
}


def _comparison(kind: str) -> Callable[[Call], Ref]:
    def emit(c: Call) -> Ref:
        x, y = c.ref(0), c.ref(1)
        dtype = narrowest(x.low, x.high, y.low, y.high)
        return c.b.op(kind, c.b.cast(x, dtype), c.b.cast(y, dtype), dtype='bool')

    return emit


for _name, _kind in _COMPARISONS.items():
    emits(f'{_name}.Tensor', f'{_name}.Scalar')(_comparison(_kind))


@emits('add.Tensor')
def _add(c: Call) -> Ref:
    x, y = c.ref(0), c.ref(1)
    return elementwise(c.b, 'Add', (x, y), (x.low + y.low, x.high + y.high), c.dtype)


@emits('sub.Tensor')
def _sub(c: Call) -> Ref:
    return _difference(c, c.ref(0), c.ref(1))


@emits('rsub.Scalar')
def _rsub(c: Call) -> Ref:
    return _difference(c, c.ref(1), c.ref(0))


def _difference(c: Call, x: Ref, y: Ref) -> Ref:
    return elementwise(c.b, 'Sub', (x, y), (x.low - y.high, x.high - y.low), c.dtype)


@emits('neg.default')
def _neg(c: Call) -> Ref:
    x = c.ref(0)
    return elementwise(c.b, 'Neg', (x,), (-x.high, -x.low), c.dtype)


@emits('abs.default')
def _abs(c: Call) -> Ref:
    x = c.ref(0)
    if x.low >= 0:
        return x
    return elementwise(c.b, 'Abs', (x,), (0, max(-x.low, x.high)), c.dtype)


@emits('sign.default')
def _sign(c: Call) -> Ref:
    return clamp(c.b, c.ref(0), -1, 1)


@emits('mul.Tensor')
def _mul(c: Call) -> Ref:
    return multiply(c.b, c.ref(0), c.ref(1), c.dtype)


@emits('bitwise_and.Tensor', 'bitwise_and.Scalar')
def _and(c: Call) -> Ref:
    x, y = c.ref(0), c.ref(1)
    tops = [n.high for n in (x, y) if n.low >= 0]
    least = -1 << max(n.bit_length() for z in (x, y) for n in (z.low, z.high))
    bounds = (0, min(tops)) if tops else (least, max(x.high, y.high))
    return elementwise(c.b, 'BitwiseAnd', (x, y), bounds, c.dtype)


@emits('minimum.default')
def _minimum(c: Call) -> Ref:
    return extreme(c.b, 'Min', c.ref(0), c.ref(1))


@emits('maximum.default')
def _maximum(c: Call) -> Ref:
    return extreme(c.b, 'Max', c.ref(0), c.ref(1))


@emits('clamp.default', 'clamp_min.default')
def _clamp(c: Call) -> Ref:
    return clamp(c.b, c.ref(0), c.arg(1), c.arg(2))


@emits('clamp_max.default')
def _clamp_max(c: Call) -> Ref:
    return clamp(c.b, c.ref(0), None, c.arg(1))


@emits('bitwise_right_shift.Tensor', 'bitwise_right_shift.Tensor_Scalar')
def _shift_right(c: Call) -> Ref:
    return shift_right(c.b, c.ref(0), c.args[1])


@emits(
    'bitwise_left_shift.Tensor',
    'bitwise_left_shift.Tensor_Scalar',
    'bitwise_left_shift.Scalar_Tensor',
)
def _shift_left(c: Call) -> Ref:
    return shift_left(c.b, c.ref(0), c.args[1], c.dtype)


@emits('floor_divide.default')
def _floor_divide(c: Call) -> Ref:
    return floor_divide(c.b, c.ref(0), c.ref(1), c.dtype)


@emits('div.Tensor_mode')
def _divide(c: Call) -> Ref:
    if c.node.kwargs['rounding_mode'] == 'floor':
        return _floor_divide(c)
    x, y = c.ref(0), c.ref(1)
    most = max(-x.low, x.high)
    bounds = (0 if x.low >= 0 and y.low >= 0 else -most, most)
    return elementwise(c.b, 'Div', (x, y), bounds, c.dtype)


@emits('sum.dim_IntList')
def _sum(c: Call) -> Ref:
    return total(c.b, c.ref(0), c.input_shape(), c.args[1], c.shape)


@emits('amax.default')
def _amax(c: Call) -> Ref:
    return largest(c.b, c.ref(0), c.args[1], c.arg(2, False))


@emits('where.self')
def _where(c: Call) -> Ref:
    condition, x, y = c.ref(0), c.ref(1), c.ref(2)
    bounds = min(x.low, y.low), max(x.high, y.high)
    dtype = narrowest(*bounds)
    pair = c.b.cast(x, dtype), c.b.cast(y, dtype)
    return c.b.op('Where', condition, *pair, dtype=dtype, bounds=bounds)


@emits('index_select.default')
def _index_select(c: Call) -> Ref:
    x, index = c.ref(0), c.ref(2)
    index = c.b.cast(index, narrowest(index.low, index.high))
    if isinstance(c.args[0], Tensor):
        x = c.b.given(c.args[0], narrowest(x.low, x.high))
    # Of a table, GatherElements does the same, several times as fast.
    kind = 'GatherElements' if len(c.input_shape()) == 1 else 'Gather'
    return c.b.moved(kind, x, index, axis=c.args[1])


@emits('view.default', '_unsafe_view.default', 'reshape.default')
def _view(c: Call) -> Ref:
    return c.b.moved('Reshape', c.ref(0), c.b.axes(c.shape))


@emits('expand.default')
def _expand(c: Call) -> Ref:
    return c.b.moved('Expand', c.ref(0), c.b.axes(c.shape))


@emits('cat.default')
def _cat(c: Call) -> Ref:
    parts = [c.b.given(x) for x in c.args[0]]
    bounds = min(x.low for x in parts), max(x.high for x in parts)
    same = [c.b.cast(x, narrowest(*bounds)) for x in parts]
    return c.b.op('Concat', *same, bounds=bounds, axis=c.arg(1, 0) % len(c.shape))


@emits('clone.default', '_to_copy.default')
def _copy(c: Call) -> Ref:
    x = c.ref(0)
    return x if holds(c.dtype, x.low, x.high) else c.b.wrap(x, c.dtype)


@emits('full_like.default', 'zeros_like.default', 'ones_like.default')
def _filled(c: Call) -> Ref:
    number = c.arg(1, int('ones' in str(c.node.target)))
    return c.b.moved('Expand', c.b.given(number), c.b.axes(c.shape))
