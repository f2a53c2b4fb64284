"""What a node of a program means: the integers that it makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from ...functions import Constants, IntegerFunction
from ...intmath.dyadic import Dyadic, requantize
from ...modes.blocks import in_blocks
from ...operations import OPERATIONS
from ...registry import FUNCTIONS
from .graph import Node, ProgramError, Value
from .moves import MOVES, move

#: From the operands of a node and its constants to its output.
Step = Callable[[Sequence[Tensor], Constants], Tensor]


def step(node: Node, value: Value, blocks: bool = True) -> Step:
    """What a node does.

    Args:
        node: The node.
        value: What it makes.
        blocks: Work through large operands in blocks that fit the cache; not where
            a compiler shall see the whole.

    Raises:
        ProgramError: If it is of a kind that this version does not know.
    """
    if node.kind in MOVES:
        return lambda x, constants: move(node.kind, x[0], node.attributes, **constants)
    compute = _computation(node, value)

    def stored(operands: Sequence[Any], constants: Constants) -> Tensor:
        wide = compute(operands, constants)
        return wide.clamp(value.low, value.high).to(value.dtype)

    if not blocks:
        return stored
    return lambda operands, constants: in_blocks(
        node.kind, operands, lambda block: stored(block, constants)
    )


def _computation(node: Node, value: Value) -> Step:
    """The same for kinds that compute, not clamped."""
    if node.function is not None:
        function: IntegerFunction = FUNCTIONS.build(dict(node.function))
        return lambda x, constants: function.integer(x[0], constants)
    if node.kind in OPERATIONS:
        operation = OPERATIONS[node.kind]
        return lambda x, constants: operation.integer(x, constants, node.attributes)
    if node.kind == 'requantize':
        return lambda x, c: requantize(x[0], Dyadic(c['multiplier'], c['shift']))
    if node.kind == 'shifted':
        return lambda x, c: x[0].long() + c['addend']
    if node.kind == 'negate':
        return lambda x, c: -x[0].to(value.dtype)
    if node.kind == 'amplify':
        dtype = value.dtype
        return lambda x, c: x[0].to(dtype) << c['powers'].to(dtype)
    raise ProgramError(f"a node of kind '{node.kind}': iptq_mm knows none such")
