"""The rule table: how each torch function acts on QTensors.

A rule receives the active mode and the arguments of the torch function. It
either hands an :class:`~iptq_mm.operations.Operation` to the mode or moves
integers around. A torch function without a rule is an error.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._pytree import tree_any, tree_leaves

from .context import describe_location
from .errors import UnsupportedOperationError

if TYPE_CHECKING:
    from ..modes.base import Mode

Rule = Callable[..., Any]

#: The table: torch function -> rule(mode, *args, **kwargs).
RULES: dict[Any, Rule] = {}

#: Functions that compute: with constants only, they are folded.
_COMPUTING: set[Any] = set()

#: Names of methods that write to their tensor; others end in one underscore.
_IN_PLACE = {'__setitem__', '__set__', '__delete__', '__iadd__', '__isub__'} | {
    f'__i{name}__' for name in ('mul', 'div', 'truediv', 'floordiv', 'mod', 'pow')
}

#: Functions that do not look at the numbers.
_METADATA: set[Any] = set()


def rule(
    *functions: Any, computes: bool = False, metadata: bool = False
) -> Callable[[Rule], Rule]:
    """Enter a rule into the table for one or more torch functions.

    Args:
        *functions: The torch functions.
        computes: Whether they change numbers. If so, the rule never sees
            arguments that all depend on parameters only: the mode folds them
            into one constant.
        metadata: Whether they look at shapes and types only.
    """

    def register(implementation: Rule) -> Rule:
        for function in functions:
            # Several names may be one object (Tensor.neg, Tensor.__neg__).
            if RULES.get(function, implementation) is not implementation:
                raise KeyError(f'{function} has a rule already')
            RULES[function] = implementation
            if computes:
                _COMPUTING.add(function)
            if metadata:
                _METADATA.add(function)
        return implementation

    return register


def apply_rule(mode: Mode, func: Any, args: tuple, kwargs: dict) -> Any:
    """Answer a torch function that met a QTensor.

    Raises:
        UnsupportedOperationError: If it has no rule, or its rule does not
            cover these arguments.
    """
    if func not in _METADATA:
        _check_not_overwritten((args, kwargs))
    if 'input' in kwargs:  # torch's name of the first argument, seldom written
        kwargs = dict(kwargs)
        args = (kwargs.pop('input'), *args)
    known = func in RULES
    if (not known or func in _COMPUTING) and depends_on_parameters_only((args, kwargs)):
        if _changes_in_place(func, kwargs):
            raise UnsupportedOperationError(
                f'{describe_location()}: {function_name(func)} changes a parameter or '
                'a constant in place: make it a new tensor'
            )
        return mode.fold(func, args, kwargs)
    if known:
        return _apply(mode, func, args, kwargs)
    raise UnsupportedOperationError(
        f'{describe_location()}: no integer rule for {function_name(func)}; choose a '
        'smaller region in quantization.regions, or add a rule with '
        '@iptq_mm.qtensor.rule'
    )


def _apply(mode: Mode, func: Any, args: tuple, kwargs: dict) -> Any:
    """Call the rule; its errors say where it happened."""
    kwargs = dict(kwargs)
    if 'input' in kwargs:  # torch's name of the first tensor
        args = (kwargs.pop('input'), *args)
    if 'other' in kwargs:
        args = (*args, kwargs.pop('other'))
    try:
        return RULES[func](mode, *args, **kwargs)
    except UnsupportedOperationError as error:
        # Rules speak of arguments; where it happened is known here.
        if describe_location() in str(error):
            raise
        raise UnsupportedOperationError(f'{describe_location()}: {error}') from None
    except TypeError as error:
        try:
            inspect.signature(RULES[func]).bind(mode, *args, **kwargs)
        except TypeError as unknown:
            raise UnsupportedOperationError(
                f'{describe_location()}: {function_name(func)} with arguments that its '
                f'rule does not know ({unknown})'
            ) from None
        raise error


def _check_not_overwritten(tree: Any) -> None:
    """Raise if an in-place operation changed a view of one of the arguments."""
    from .tensor import QTensor

    for x in tree_leaves(tree):
        if isinstance(x, QTensor):
            x.check_not_overwritten()


def _changes_in_place(func: Any, kwargs: dict) -> bool:
    """Whether a torch function writes to one of its arguments."""
    name = getattr(func, '__name__', '')
    return (
        name in _IN_PLACE
        or (name.endswith('_') and not name.endswith('__'))
        or bool(kwargs.get('inplace'))
        or kwargs.get('out') is not None
    )


def depends_on_parameters_only(tree: Any) -> bool:
    """Whether no argument depends on the region's input."""
    from .tensor import QTensor

    return not tree_any(lambda x: isinstance(x, QTensor) and not x.constant, tree)


def function_name(func: Any) -> str:
    """A readable name of a torch function."""
    with torch._C.DisableTorchFunctionSubclass():
        try:
            return torch.overrides.resolve_name(func) or repr(func)
        except Exception:  # resolve_name fails on some getters
            return repr(func)
