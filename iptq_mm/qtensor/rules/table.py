"""The rule table, and the decorator that enters a rule into it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Rule = Callable[..., Any]

#: The table: torch function -> rule(mode, *args, **kwargs).
RULES: dict[Any, Rule] = {}

#: Torch functions that compute numbers. If all arguments are constants, the result is
#: folded into a constant and the rule is not called.
COMPUTING: set[Any] = set()

#: Torch functions that do not look at the numbers.
METADATA: set[Any] = set()

#: Torch functions with a rule for integers and booleans that a region was given; it
#: may return NotImplemented.
GIVEN: dict[Any, Rule] = {}

#: Torch functions that move elements; those among :data:`RULES` that take given
#: integers beside values of the region.
MOVING: set[Any] = set()
TAKES_GIVEN: set[Any] = set()


def given_rule(*functions: Any) -> Callable[[Rule], Rule]:
    """Enter a rule into :data:`GIVEN`, see :mod:`.given`."""

    def register(implementation: Rule) -> Rule:
        GIVEN.update(dict.fromkeys(functions, implementation))
        return implementation

    return register


def rule(
    *functions: Any, computes: bool = False, metadata: bool = False
) -> Callable[[Rule], Rule]:
    """Enter a rule into the table for one or more torch functions.

    A rule receives the running mode (:class:`iptq_mm.qtensor.mode.Mode`) and the
    arguments of the torch function. It either hands an
    :class:`~iptq_mm.operations.Operation` to the mode, which makes a site, or moves
    integers around. Example::

        @rule(torch.neg, computes=True)
        def _neg(mode: Mode, x: QTensor) -> QTensor:
            return x.scaled(-1.0)

    Args:
        *functions: The torch functions.
        computes: Whether they change numbers. If so, the rule never sees
            arguments that all depend on parameters only: the mode folds them
            into one constant.
        metadata: Whether they look at shapes and types only.

    Raises:
        KeyError: If one of the functions has another rule already.
    """

    def register(implementation: Rule) -> Rule:
        for function in functions:
            # Several names may be one object (Tensor.neg, Tensor.__neg__).
            if RULES.get(function, implementation) is not implementation:
                raise KeyError(f'{function} has a rule already')
            RULES[function] = implementation
            if computes:
                COMPUTING.add(function)
            if metadata:
                METADATA.add(function)
        return implementation

    return register
