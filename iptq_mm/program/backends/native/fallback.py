"""Nodes without a kernel: the reference computes them, in Python."""

from __future__ import annotations

import torch

from ....native.storage import storage_of
from ...ir.graph import Node
from ...ir.semantics import node_function
from .context import EmitterContext
from .copying import as_torch
from .layout.steps import Address, ReferenceStep
from .layout.tensor_ref import TensorRef


def fallback(context: EmitterContext, node: Node) -> TensorRef:
    """Emit a step of the reference, between tensors as torch stores them."""
    value, tensors = context.value(node), context.program.tensors
    constants = {
        k: tensors[v] if isinstance(v, str) else v for k, v in node.constants.items()
    }
    compute = node_function(node, value)
    operands: list = [
        tensors[x] if isinstance(x, str) else _described(context, x)
        for x in node.operands
    ]
    out = TensorRef.new(storage_of(value.dtype), value.shape)
    result = (Address(out.buffer), value.dtype, value.shape)
    context.steps.append(
        ReferenceStep(lambda x: compute(x, constants), operands, result, node)
    )
    return out


def _described(
    context: EmitterContext, operand: int
) -> tuple[Address, torch.dtype, tuple[int, ...]]:
    value = context.program.values[operand]
    return as_torch(context, operand).address, value.dtype, value.shape
