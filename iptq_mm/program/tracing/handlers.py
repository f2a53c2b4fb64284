"""What is recorded of each function that rules call on recorded integers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._pytree import tree_map

from ...qtensor.aliasing import shares_memory
from ...qtensor.errors import unsupported
from ...qtensor.rules.dispatch import function_name
from ...qtensor.rules.movement import REARRANGING
from ..ir.graph import Operand
from .canonical import canonical_moves
from .recorded import HANDLERS, REMEDY, Recorded, outline

#: The same integers, in another type or tensor perhaps.
_COPIES = {
    Tensor.clone,
    torch.clone,
    Tensor.contiguous,
    Tensor.detach,
    Tensor.to,
    Tensor.type,
    Tensor.long,
    Tensor.int,
    Tensor.short,
}
_MOVES = {*REARRANGING, F.pad, Tensor.unfold} - _COPIES
#: Kinds of moves whose results are no views.
_COPYING = ('roll', 'pad', 'gather')


def _result(func: Callable, x: Recorded, args: tuple, kwargs: dict) -> Any:
    """The outline of what ``func`` makes of the integers."""
    with torch._C.DisableTorchFunctionSubclass():
        return func(x.plain, *args, **kwargs)


def _wrapped(result: Tensor, x: Recorded, number: int) -> Recorded:
    """``result``, computed from ``x``, as value ``number``."""
    new = Recorded.wrap(result, x.recorder, number, x.home)
    new.shared = shares_memory(result, x.plain)
    x.shared |= new.shared
    return new


def _copy(func: Callable, x: Recorded, args: tuple, kwargs: dict) -> Recorded:
    result = _result(func, x, args, kwargs)
    value = x.recorder.values[x.number]
    info = None if result.is_floating_point() else torch.iinfo(result.dtype)
    if info is None or not info.min <= value.low <= value.high <= info.max:
        raise unsupported(
            f'a rule converts integers in {value.low}..{value.high} to {result.dtype}, '
            'which does not hold them',
            'let the rule use a wider integer type',
        )
    if shares_memory(result, x.plain) and result.shape == x.shape:
        return x
    return _wrapped(result, x, x.number)


def _move(func: Callable, x: Recorded, args: tuple, kwargs: dict) -> Any:
    found = canonical_moves(func, x.shape, args, kwargs)
    result: Any
    if len(found) == 1 and found[0] and found[0][-1].kind in _COPYING:
        result = outline(found[0][-1].shape, x.dtype)
    else:
        result = _result(func, x, args, kwargs)
    numbers = iter(x.recorder.moved(x.number, moves) for moves in found)
    if isinstance(result, Tensor):
        return _wrapped(result, x, next(numbers))
    return tree_map(
        lambda t: _wrapped(t, x, next(numbers)) if isinstance(t, Tensor) else t, result
    )


def _negate(func: Callable, x: Recorded, args: tuple, kwargs: dict) -> Recorded:
    value = x.recorder.values[x.number]
    bounds = -value.high, -value.low
    number = x.recorder.node('negate', [x.number], value.shape, bounds)
    return _wrapped(outline(x.shape, x.dtype), x, number)


def _add(
    func: Callable, x: Recorded, args: tuple, kwargs: dict, sign: int = 1
) -> Recorded:
    if set(kwargs) == {'alpha'} and isinstance(kwargs['alpha'], int):
        sign *= kwargs['alpha']
    elif kwargs or len(args) != 1:
        raise unsupported(
            f'a rule calls {function_name(func)} with further arguments', REMEDY
        )
    (addend,) = args
    shape, dtype = x.shape, torch.result_type(x.plain, addend)
    if isinstance(addend, Tensor):
        shape = torch.broadcast_shapes(shape, addend.shape)
        addend = addend.long() if sign > 0 else -addend.long()
    elif not isinstance(addend, int):
        raise unsupported(
            f'a rule adds {addend!r} to integers', 'let the rule add integers only'
        )
    else:
        addend *= sign
    number = x.recorder.add_constant(x.number, addend, shape)
    return _wrapped(outline(shape, dtype), x, number)


def _hide(func: Callable, x: Any, args: tuple, kwargs: dict) -> Recorded:
    """Scores plus a multiple of a mask of the region, see ``qtensor/hiding.py``.

    There is a node for sums of two values, with a multiplier each and a shift.
    """
    (mask,), alpha = args, kwargs.get('alpha', 1)
    made = x if isinstance(x, Recorded) else mask
    plain = [t.plain if isinstance(t, Recorded) else t for t in (x, mask)]
    shape = torch.broadcast_shapes(*(t.shape for t in plain))
    dtype = torch.result_type(*plain)
    recorder = made.recorder
    operands: list[Operand] = []
    ends = []
    for t, factor in ((x, 1), (mask, alpha)):
        if isinstance(t, Recorded):
            value = recorder.values[t.number]
            operands.append(t.number)
            low, high = value.low, value.high
        else:
            operands.append(recorder.tensor(t, 'scores', narrow=True))
            low, high = int(t.min()), int(t.max())
        ends.append(sorted((low * factor, high * factor)))
    bounds = ends[0][0] + ends[1][0], ends[0][1] + ends[1][1]
    constants: dict[str, int | str] = {'left': 2, 'right': 2 * alpha, 'shift': 1}
    number = recorder.node('add', operands, shape, bounds, constants)
    return Recorded.wrap(outline(shape, dtype), recorder, number, made.home)


def _subtract(func: Callable, x: Recorded, args: tuple, kwargs: dict) -> Recorded:
    return _add(func, x, args, kwargs, sign=-1)


def _clamp(func: Callable, x: Recorded, args: tuple, kwargs: dict) -> Recorded:
    bounds = dict(zip(('min', 'max'), args, strict=False)) | kwargs
    low, high = bounds.get('min'), bounds.get('max')
    number = x.recorder.clamped(x.number, low, high)
    return _wrapped(outline(x.shape, x.dtype), x, number)


def _shift_channels(func: Callable, x: Recorded, args: tuple, kwargs: dict) -> Recorded:
    powers = torch.as_tensor(args[0])
    shape = torch.broadcast_shapes(x.shape, powers.shape)
    value, most = x.recorder.values[x.number], int(powers.max())
    constants: dict[str, int | str] = {
        'powers': x.recorder.tensor(powers, 'powers', narrow=True)
    }
    bounds = value.low << most, value.high << most
    number = x.recorder.node('shift_channels', [x.number], shape, bounds, constants)
    dtype = torch.result_type(x.plain, args[0])
    return _wrapped(outline(shape, dtype), x, number)


def _in_place(function: Callable) -> Callable:
    """The handler of an in-place method, which gives the tensor another value."""

    def update(func: Callable, x: Recorded, args: tuple, kwargs: dict) -> Recorded:
        if x.shared:
            raise unsupported(
                'a rule changes integers in place that another tensor views',
                'let the rule make a new tensor',
            )
        new = HANDLERS[function](function, x, args, kwargs)
        x.number = new.number
        return x

    return update


HANDLERS.update(
    {
        **dict.fromkeys(_MOVES, _move),
        **dict.fromkeys(_COPIES, _copy),
        **dict.fromkeys((torch.neg, Tensor.neg, Tensor.__neg__), _negate),
        **dict.fromkeys((torch.add, Tensor.add, Tensor.__add__), _add),
        **dict.fromkeys((torch.sub, Tensor.sub, Tensor.__sub__), _subtract),
        **dict.fromkeys((torch.clamp, Tensor.clamp), _clamp),
        Tensor.__lshift__: _shift_channels,
        Tensor.neg_: _in_place(Tensor.neg),
        Tensor.add_: _in_place(Tensor.add),
        Tensor.sub_: _in_place(Tensor.sub),
        Tensor.clamp_: _in_place(Tensor.clamp),
        **dict.fromkeys(((f, 'alpha') for f in (torch.add, Tensor.add)), _hide),
    }
)
