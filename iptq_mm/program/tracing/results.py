"""What a region returns, made of the outputs of its program."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_unflatten

from ...utils.trees import tree_leaves


def nesting(result: Any, spec: Any) -> Callable[[list], Any]:
    """A function that nests leaves like ``result``; fast for the common results."""
    leaves = tree_leaves(result)
    if len(leaves) == 1 and leaves[0] is result:
        return itemgetter(0)
    kind = type(result)
    if kind in (tuple, list) and all(isinstance(x, Tensor) for x in result):
        return kind
    return lambda leaves: tree_unflatten(leaves, spec)


def own(leaf: Any) -> Any:
    """A part of the result that depends on no input: a copy, for the caller."""
    return leaf.clone() if isinstance(leaf, Tensor) else leaf
