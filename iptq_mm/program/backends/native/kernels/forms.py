"""Which form of its command a node's integer function takes."""

from __future__ import annotations

from collections.abc import Mapping

from ....ir.graph import Node
from ..context import Unsupported


def form_of(node: Node, forms: Mapping[str, int]) -> int:
    """The form of the command for the function of a node.

    Args:
        node: The node.
        forms: Forms by registered name of the function.

    Raises:
        Unsupported: If there is none, as for functions with the published constants.
    """
    function = node.function or {}
    name = str(function.get('type'))
    if name not in forms:
        raise Unsupported(name)
    if function.get('literal'):
        raise Unsupported(
            f'the literal form of {name}', f'{name} without literal=True has one'
        )
    return forms[name]
