"""What has no kernel: a step in Python, by the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ....native.storage import storage_of
from ...ir.graph import Node
from ...ir.semantics import node_function
from .layout.located import Located
from .layout.steps import At, Call

if TYPE_CHECKING:
    from .compiler import Compiler


def fallback(compiler: Compiler, node: Node) -> Located:
    """The call of a node, between tensors as torch keeps them."""
    value, tensors = compiler.value(node), compiler.program.tensors
    constants = {
        k: tensors[v] if isinstance(v, str) else v for k, v in node.constants.items()
    }
    compute = node_function(node, value)
    operands: list = [
        tensors[x] if isinstance(x, str) else _described(compiler, x)
        for x in node.operands
    ]
    place = Located.new(storage_of(value.dtype), value.shape)
    result = (At(place.buffer), value.dtype, value.shape)
    call = Call(lambda block: compute(block, constants), operands, result)
    compiler.steps.append(call)
    return place


def _described(
    compiler: Compiler, operand: int
) -> tuple[At, torch.dtype, tuple[int, ...]]:
    value = compiler.program.values[operand]
    return compiler.as_torch(operand).at, value.dtype, value.shape
