"""Nested tuples, lists and dicts, in every version of torch."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from torch.utils._pytree import TreeSpec, tree_flatten

try:
    from torch.utils._pytree import tree_leaves
except ImportError:  # torch 2.1

    def tree_leaves(tree: Any) -> list[Any]:  # type: ignore[misc]
        """What is in a tree, in the order of ``tree_flatten``."""
        return tree_flatten(tree)[0]


def nesting_key(spec: TreeSpec) -> Hashable:
    """What is equal for equal nestings, and can be part of a key."""
    # That of torch 2.1 has no hash.
    has_hash: Any = TreeSpec.__hash__
    return spec if has_hash else repr(spec)


__all__ = ['nesting_key', 'tree_leaves']
