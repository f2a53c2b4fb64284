"""Nested tuples, lists and dicts, in every version of torch."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from torch.utils._pytree import SUPPORTED_NODES, TreeSpec, tree_flatten

#: The types of nearly all trees.
_USUAL = (tuple, list, dict)


def tree_leaves(tree: Any) -> list[Any]:
    """What is in a tree, in the order of ``tree_flatten``.

    Torch's own function takes ten times as long for the arguments of a call; it would
    take most of the time of tracing.
    """
    leaves: list[Any] = []
    if _collect((tree,), leaves):
        return leaves
    return tree_flatten(tree)[0]


def _collect(nodes: Iterable[Any], leaves: list[Any]) -> bool:
    """Append what is in some trees; False if they have other types of nodes."""
    for x in nodes:
        kind = type(x)
        if kind in _USUAL:
            if not _collect(x.values() if kind is dict else x, leaves):
                return False
        elif kind in SUPPORTED_NODES or isinstance(x, tuple):  # named tuples
            return False
        else:
            leaves.append(x)
    return True


def nesting_key(spec: TreeSpec) -> Hashable:
    """What is equal for equal nestings, and can be part of a key."""
    # That of torch 2.1 has no hash.
    has_hash: Any = TreeSpec.__hash__
    return spec if has_hash else repr(spec)
