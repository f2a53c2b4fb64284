"""From a torch function that met a QTensor to the rule that answers it."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

from ...utils.trees import tree_leaves
from ..aliasing import shares_memory
from ..context import describe_location
from ..errors import SMALLER_REGION, UnsupportedOperationError, unsupported
from ..mode import Mode, current_mode
from ..tensor import QTensor, answer_with
from .given_answer import GivenAnswer, answer_given
from .table import COMPUTING, METADATA, RULES

#: Names of methods that write to their tensor; others end in one underscore.
_IN_PLACE = {'__setitem__', '__set__', '__delete__', '__iadd__', '__isub__'} | {
    f'__i{name}__' for name in ('mul', 'div', 'truediv', 'floordiv', 'mod', 'pow')
}


def answer(func: Any, args: tuple, kwargs: dict) -> Any:
    """The result of a torch function that met a QTensor, in the running mode."""
    return apply_rule(current_mode(), func, args, kwargs)


answer_with(answer)


def apply_rule(mode: Mode, func: Any, args: tuple, kwargs: dict) -> Any:
    """The result of a torch function that met a QTensor.

    Raises:
        UnsupportedOperationError: If it has no rule, or its rule does not
            cover these arguments.
    """
    if func is Tensor.__setitem__ and isinstance(args[0], QTensor):
        _check_assigned(*args[:2])
        _check_not_overwritten(args[1:])
    elif func not in METADATA:
        _check_not_overwritten((args, kwargs))
    if 'input' in kwargs:  # torch's name of the first argument, seldom written
        kwargs = dict(kwargs)
        args = (kwargs.pop('input'), *args)
    if 'out' in kwargs and kwargs['out'] is None:  # as torch.nn.functional passes it on
        kwargs = {k: v for k, v in kwargs.items() if k != 'out'}
    if func not in METADATA:
        found = answer_given(mode, func, args, kwargs)
        if isinstance(found, GivenAnswer):
            return found.result
        args, kwargs = found
    known = func in RULES
    if (not known or func in COMPUTING) and _depends_on_parameters_only((args, kwargs)):
        if kwargs.get('inplace') and not args[0].whole:
            # An expression of parameters, which is nobody else's: the tensor takes the
            # result.
            result = mode.fold(func, args, {**kwargs, 'inplace': False})
            args[0].become(result)
            return args[0]
        if _changes_in_place(func, kwargs):
            raise unsupported(
                f'{function_name(func)} changes a parameter or a constant in place',
                'make a new tensor instead',
            )
        return mode.fold(func, args, kwargs)
    if known:
        return _apply(mode, func, args, kwargs)
    raise unsupported(
        f'no integer rule for {function_name(func)}',
        f'{SMALLER_REGION}, or add a rule with @iptq_mm.qtensor.rule',
    )


def _apply(mode: Mode, func: Any, args: tuple, kwargs: dict) -> Any:
    """Call the rule; its errors say where it happened."""
    if 'other' in kwargs:  # torch's name of the second operand
        kwargs = dict(kwargs)
        args = (*args, kwargs.pop('other'))
    try:
        return RULES[func](mode, *args, **kwargs)
    except UnsupportedOperationError as error:
        # A rule that somebody added may say what it does not support, and not where.
        if describe_location() in str(error):
            raise
        raise UnsupportedOperationError(f'{describe_location()}: {error}') from None
    except TypeError as error:
        try:
            inspect.signature(RULES[func]).bind(mode, *args, **kwargs)
        except TypeError as unknown:
            raise unsupported(
                f'{function_name(func)} with arguments that its rule does not know '
                f'({unknown})',
                f'leave these arguments out, or {SMALLER_REGION}',
            ) from None
        raise error


def _check_not_overwritten(tree: Any) -> None:
    """Raise if an in-place operation changed a view of one of the arguments."""
    for x in tree_leaves(tree):
        if isinstance(x, QTensor):
            x.check_not_overwritten()


def _check_assigned(x: QTensor, index: Any) -> None:
    """Raise if more of a tensor was changed than what is about to be overwritten."""
    part = x.payload[index]
    x.check_not_overwritten(part if shares_memory(part, x.payload) else None)


def _changes_in_place(func: Any, kwargs: dict) -> bool:
    """Whether a torch function writes to one of its arguments."""
    name = getattr(func, '__name__', '')
    return (
        name in _IN_PLACE
        or (name.endswith('_') and not name.endswith('__'))
        or bool(kwargs.get('inplace'))
        or kwargs.get('out') is not None
    )


def _depends_on_parameters_only(tree: Any) -> bool:
    """Whether no argument depends on the region's input."""
    leaves = tree_leaves(tree)
    return not any(isinstance(x, QTensor) and not x.constant for x in leaves)


def function_name(func: Any) -> str:
    """A readable name of a torch function."""
    with torch._C.DisableTorchFunctionSubclass():
        try:
            return torch.overrides.resolve_name(func) or repr(func)
        except Exception:  # resolve_name fails on some getters
            return repr(func)
