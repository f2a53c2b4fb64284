"""The pattern of attention: two products with a softmax between them.

::

    matmul(q, k) -> [add | add_constant]* -> softmax -> matmul(., v)

What is added is constant or was computed, as the padding of texts. Reshapes may stand
anywhere between them. Every value inside of the pattern has one consumer, so that
nobody misses it when one command computes all.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from .....native.commands import ADDITIONS
from ....ir.graph import Node, Program

#: Kinds of nodes that may stand between the first product and the softmax.
_ADDITIONS = ('add', 'add_constant')


@dataclass(frozen=True)
class AttentionPattern:
    """The nodes of one attention.

    Attributes:
        scores: The product of queries and keys.
        additions: Additions to the scores (biases, masks), in order.
        softmax: The softmax.
        result: The product of probabilities and values.
        nodes: All nodes of the pattern, reshapes included, in order.
    """

    scores: Node
    additions: tuple[Node, ...]
    softmax: Node
    result: Node
    nodes: tuple[Node, ...]


def find_attention(program: Program, uses: Counter[int]) -> dict[int, AttentionPattern]:
    """All attentions of a program, by the identity of their last node.

    Args:
        program: The program.
        uses: Number of uses of each value, as an output of the program included.
    """
    users = {v: node for node in program.nodes for v in node.values}
    found = (
        _match(node, users, uses) for node in program.nodes if node.kind == 'matmul'
    )
    return {id(pattern.result): pattern for pattern in found if pattern is not None}


def _match(
    first: Node, users: dict[int, Node], uses: Counter[int]
) -> AttentionPattern | None:
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
            return AttentionPattern(
                first, tuple(additions), softmax, node, tuple(nodes)
            )
        elif node.kind in _ADDITIONS and softmax is None:
            if node.values.count(before.output) > 1:
                return None
            additions.append(node)
        elif node.kind != 'reshape':
            return None
    return None
