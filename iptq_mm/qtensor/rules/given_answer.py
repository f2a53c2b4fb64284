"""What a torch function does to integers and booleans that a region was given."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch.utils._pytree import tree_map

from ...utils.trees import tree_leaves
from ..mode import Mode
from ..tensor import QTensor
from .table import COMPUTING, GIVEN, MOVING, RULES, TAKES_GIVEN


class GivenAnswer(NamedTuple):
    """The result of a function of given integers only."""

    result: Any


def answer_given(
    mode: Mode, func: Any, args: tuple, kwargs: dict
) -> GivenAnswer | tuple[tuple, dict]:
    """The result of a function of given integers, or its arguments for other rules.

    Given integers are values of the region like others as long as every function that
    meets them has a rule: they move, they are compared with numbers, they index an
    embedding, and they hide scores. Where one meets another function, the mode is told
    that their numbers are *read*: they are plain tensors then, a program depends on
    their contents, and a region cannot be quantized that also looks them up.
    """
    leaves = [x for x in tree_leaves((args, kwargs)) if isinstance(x, QTensor)]
    given = [x for x in leaves if x.given is not None]
    if not given:
        return args, kwargs
    others = len(leaves) > len(given)
    if func in GIVEN:
        result = GIVEN[func](mode, *args, **kwargs)
        if result is not NotImplemented:
            return GivenAnswer(result)
    first = args[0] if args else None
    if func in MOVING and len(leaves) == 1 and first is given[0]:
        return args, kwargs
    if func in TAKES_GIVEN:
        return args, kwargs
    if others and func in RULES and func in COMPUTING:
        return tree_map(lambda x: _real(mode, x), (args, kwargs))
    args, kwargs = tree_map(lambda x: _read(mode, x), (args, kwargs))
    if others:
        return args, kwargs
    return GivenAnswer(func(*args, **kwargs))


def _real(mode: Mode, x: Any) -> Any:
    is_given = isinstance(x, QTensor) and x.given is not None
    return mode.real_of_given(x) if is_given else x


def _read(mode: Mode, x: Any) -> Any:
    is_given = isinstance(x, QTensor) and x.given is not None
    return mode.read_given(x) if is_given else x
