"""The semantics of a program: which integers each kind of node computes.

Every back end, and every lowering of a node, gives the integers that
:func:`node_function` gives, or it is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from ...functions import Constants, IntegerFunction
from ...intmath.dyadic import Dyadic, requantize
from ...intmath.levels import look_up
from ...modes.blocks import in_blocks
from ...operations import OPERATIONS
from ...out_of_range import count_outside
from ...registry import FUNCTIONS
from .graph import Node, ProgramError, Value
from .moves import MOVES, move
from .watch import WATCH

#: From the operands and the constants of a node to its output.
NodeFunction = Callable[[Sequence[Tensor], Constants], Tensor]


def node_function(node: Node, value: Value, blocks: bool = True) -> NodeFunction:
    """The function that computes a node.

    Its result is clamped to the bounds of ``value`` and stored in its type::

        >>> import torch
        >>> node = Node('add_constant', [0], 1, constants={'addend': 100})
        >>> value = Value(torch.int8, (3,), -128, 127)
        >>> compute = node_function(node, value)
        >>> compute([torch.tensor([-5, 0, 50], dtype=torch.int8)], {'addend': 100})
        tensor([ 95, 100, 127], dtype=torch.int8)

    Args:
        node: The node.
        value: The value that it makes.
        blocks: Compute large operands in blocks that fit the cache. False for a
            compiler, which has to see the whole operation.

    Raises:
        ProgramError: If the node is of a kind that this version does not know.
    """
    if node.kind in MOVES:
        return lambda x, constants: move(node.kind, x[0], node.attributes, **constants)
    compute = _unclamped(node, value)

    def stored(operands: Sequence[Any], constants: Constants) -> Tensor:
        wide = compute(operands, constants)
        return wide.clamp(value.low, value.high).to(value.dtype)

    if not blocks:
        return stored
    return lambda operands, constants: in_blocks(
        node.kind, operands, lambda block: stored(block, constants)
    )


def _unclamped(node: Node, value: Value) -> NodeFunction:
    """The function of a node that is no move, before its result is clamped."""
    if node.function is not None:
        function: IntegerFunction = FUNCTIONS.build(dict(node.function))
        return lambda x, constants: function.integer(x[0], constants)
    if node.kind in OPERATIONS:
        operation = OPERATIONS[node.kind]
        return lambda x, constants: operation.integer(x, constants, node.attributes)
    if node.kind == 'requantize':
        return lambda x, c: requantize(x[0], Dyadic(c['multiplier'], c['shift']))
    if node.kind == 'add_constant':
        return lambda x, c: x[0].long() + c['addend']
    if node.kind == 'to_levels':
        return lambda x, c: look_up(c['table'], c['first'], x[0])
    if node.kind == WATCH:
        return _watch
    if node.kind == 'negate':
        return lambda x, c: -x[0].to(value.dtype)
    if node.kind == 'shift_channels':
        dtype = value.dtype
        return lambda x, c: x[0].to(dtype) << c['powers'].to(dtype)
    raise ProgramError(
        f"a node of kind '{node.kind}' that makes %{node.output}: this version of "
        'iptq_mm knows no such kind; use the version that wrote the program'
    )


def _watch(operands: Sequence[Any], constants: Constants) -> Tensor:
    """The operand, whose integers outside of the range are counted."""
    (x,) = operands
    count_outside(x, constants['low'], constants['high'], constants['counts'])
    return x
