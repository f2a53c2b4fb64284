"""Leaves of nested tuples, lists and dicts, in every version of torch."""

from __future__ import annotations

from typing import Any

from torch.utils._pytree import tree_flatten

try:
    from torch.utils._pytree import tree_leaves
except ImportError:  # torch 2.1

    def tree_leaves(tree: Any) -> list[Any]:  # type: ignore[misc]
        """What is in a tree, in the order of ``tree_flatten``."""
        return tree_flatten(tree)[0]


__all__ = ['tree_leaves']
