"""Attention in a program: a product, softmax, a product, and what lies between."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from .....native.commands import ADDITIONS
from ....ir.graph import Node, Program

#: What may be done to scores between the first product and softmax.
_ADDITIONS = ('add', 'shifted')


@dataclass(frozen=True)
class Chain:
    """The nodes of one attention.

    Attributes:
        scores: The product of queries and keys.
        additions: What is added to the scores, in order.
        softmax: The softmax.
        result: The product of probabilities and values.
        nodes: All nodes that it stands for, reshapes included, in order.
    """

    scores: Node
    additions: tuple[Node, ...]
    softmax: Node
    result: Node
    nodes: tuple[Node, ...]


def find_attention(program: Program, uses: Counter[int]) -> dict[int, Chain]:
    """All attentions, by the identity of their last node.

    Args:
        program: The program.
        uses: How often each value is used.
    """
    users = {v: node for node in program.nodes for v in node.values}
    found = (
        _chain(node, users, uses) for node in program.nodes if node.kind == 'matmul'
    )
    return {id(chain.result): chain for chain in found if chain is not None}


def _chain(first: Node, users: dict[int, Node], uses: Counter[int]) -> Chain | None:
    """The attention that begins with a product, if one does."""
    nodes, additions = [first], list[Node]()
    softmax: Node | None = None
    node = first
    while uses[node.output] == 1 and node.output in users:
        node, before = users[node.output], node
        nodes.append(node)
        if node.kind == 'softmax' and softmax is None:
            softmax = node
        elif node.kind == 'matmul' and softmax is not None:
            if node.operands[0] != before.output or len(additions) > ADDITIONS:
                return None
            return Chain(first, tuple(additions), softmax, node, tuple(nodes))
        elif node.kind in _ADDITIONS and softmax is None and len(node.values) == 1:
            additions.append(node)
        elif node.kind != 'reshape':
            return None
    return None
