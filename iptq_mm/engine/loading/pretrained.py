"""Model configs without weights to fetch."""

from __future__ import annotations

from typing import Any

from mmengine.model import PretrainedInit


def without_pretrained(node: Any) -> Any:
    """A model config whose initialization reads and fetches no weights."""
    if isinstance(node, list | tuple):
        return type(node)([without_pretrained(n) for n in node if not _pretrained(n)])
    if isinstance(node, dict):
        # Not by items(), which would import what is lazy.
        return type(node)(
            {
                k: None if _pretrained(v) else without_pretrained(v)
                for k, v in dict.items(node)
            }
        )
    return node


def _pretrained(node: Any) -> bool:
    return isinstance(node, dict) and node.get('type') in ('Pretrained', PretrainedInit)
