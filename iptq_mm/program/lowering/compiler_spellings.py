"""Spellings of nodes from which a compiler makes fast code.

They give the same integers as :func:`~iptq_mm.program.ir.semantics.node_function`.
Matrix products use the CPU's instructions for bytes, functions of one element are
lookup tables, and consecutive elementwise operations keep the same dimensions, so that
the compiler fuses them into one loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ...functions import Constants
from ...intmath.dyadic import Dyadic, requantize
from ...intmath.product import integer_linear
from ..ir.graph import Node, Value
from ..ir.semantics import NodeFunction, node_function
from .byte_products import byte_matmul, suits
from .lookup_tables import LOOK_UP, look_up, values_looked_up


def compiler_function(
    node: Node, operands: Sequence[Value], value: Value
) -> NodeFunction:
    """The function that computes a node, in the spelling for compilers.

    Args:
        node: A node of any kind that ``node_function`` knows, or of the kind
            ``LOOK_UP``.
        operands: The values that it takes; those of tensors have the bounds of the
            tensor's type.
        value: The value that it makes.
    """
    compute = _unclamped(node, operands)
    if compute is None:
        return node_function(node, value, blocks=False)
    return lambda x, constants: (
        compute(x, constants).clamp(value.low, value.high).to(value.dtype)
    )


def _unclamped(node: Node, operands: Sequence[Value]) -> NodeFunction | None:
    """The spelling before the result is clamped; None: that of ``node_function``."""
    if node.kind == LOOK_UP:
        return values_looked_up
    if node.kind == 'conv2d' and _is_of_patches(operands, node.attributes):
        return _patches
    if node.kind == 'matmul' and suits(
        [x.shape for x in operands], [(x.low, x.high) for x in operands]
    ):
        low, high = operands[0].low, operands[0].high
        return lambda x, c: requantize(
            byte_matmul(x[0], x[1], low, high), Dyadic(c['multiplier'], c['shift'])
        )
    return None


def _is_of_patches(operands: Sequence[Value], attributes: dict[str, Any]) -> bool:
    """Whether a convolution's windows do not overlap: a product of rows then."""
    size, kernel = operands[0].shape[2:], operands[1].shape[2:]
    return (
        list(attributes['stride']) == list(kernel)
        and not any(attributes['padding'])
        and set(attributes['dilation']) == {1}
        and attributes['groups'] == 1
        and all(s >= k for s, k in zip(size, kernel, strict=True))
    )


def _patches(x: Sequence[Tensor], c: Constants) -> Tensor:
    """A convolution whose stride equals its kernel size, as a matrix product."""
    image, weight = x
    (n, channels), (kh, kw) = image.shape[:2], weight.shape[2:]
    h, w = image.shape[2] // kh, image.shape[3] // kw
    patches = image[:, :, : h * kh, : w * kw].reshape(n, channels, h, kh, w, kw)
    rows = patches.permute(0, 2, 4, 1, 3, 5).reshape(n, h * w, -1)
    product = integer_linear(rows, weight.flatten(1), c['bound'], c['middle'])
    made = (product.long() * c['multiplier'] + c['offset']) >> c['shift']
    return made.transpose(1, 2).reshape(n, -1, h, w)


def _selected(table: Tensor, dim: int, index: Tensor) -> Tensor:
    """``index_select`` from a table, whatever the shape of the index."""
    if dim != 0 or table.dim() != 1:
        return torch.ops.aten.index_select(table, dim, index)
    return look_up(table, index)


def _stored(quotient: Tensor) -> Tensor:
    """The quotient as a tensor in memory, so that its users do not divide anew."""
    strides = torch.empty(quotient.shape, device='meta').stride()
    return quotient.as_strided(quotient.shape, strides)


def _flattened(x: Tensor, *dims: int, **named: int) -> Tensor:
    """``flatten()`` of everything is left out: elementwise operations follow."""
    return x if not dims and not named else torch.ops.aten.flatten(x, *dims, **named)


#: Torch function -> its spelling for compilers, within integer functions.
SPELLINGS: dict[Any, Callable] = {
    Tensor.flatten: _flattened,
    Tensor.index_select: _selected,
    Tensor.__floordiv__: lambda x, y: _stored(torch.floor_divide(x, y)),
    Tensor.__rfloordiv__: lambda x, y: _stored(
        torch.floor_divide(torch.full_like(x, y), x)
    ),
}
