"""Data sets in a config: which one wraps which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .wrappers import is_dataset


def leaf_nodes(node: Any) -> list[Any]:
    """The datasets at the bottom of wrappers, in a config: configs, or built ones."""
    inside = wrapped_nodes(node)
    return [leaf for child in inside for leaf in leaf_nodes(child)] or [node]


def wrapped_nodes(node: Any) -> list[Any]:
    """The datasets that a wrapper's config wraps. ``dataset='name'`` is no wrapper."""
    if not isinstance(node, Mapping):
        return []
    several = node.get('datasets')
    inside = [*several] if isinstance(several, list | tuple) else [node.get('dataset')]
    named = (isinstance(child, Mapping) and 'type' in child for child in inside)
    known = [a or is_dataset(b) for a, b in zip(named, inside, strict=True)]
    return inside if inside and all(known) else []
