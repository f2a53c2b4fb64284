"""Computing large tensors in blocks that fit the cache.

The 64-bit temporaries of an integer function are eight times as large as its 8-bit
input. Those of a whole batch would go through main memory for every operation; those of
a block of rows stay in the cache. Results are the same, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..operations import OPERATIONS, NonLinear

#: Elements of a block: 1 MB of 64-bit integers, an L2 cache.
BLOCK = 2**17
#: The same on a GPU, whose memory the temporaries of a large batch could fill.
GPU_BLOCK = 2**24

#: Elementwise operations.
_BY_ELEMENT = ('add', 'mul')

Compute = Callable[[Sequence[Tensor | None]], Tensor]


def in_blocks(kind: str, operands: Sequence[Tensor | None], compute: Compute) -> Tensor:
    """``compute(operands)``, computed block by block if the operation permits.

    Args:
        kind: Kind of the operation, or of another node of a program.
        operands: Its integer operands. Parameters are not cut.
        compute: Computes the result for operands that are cut along rows.
    """
    x = operands[0]
    if x is None or x.numel() <= BLOCK:
        return compute(operands)
    block = BLOCK if x.device.type == 'cpu' else GPU_BLOCK
    if x.numel() <= block:
        return compute(operands)
    if kind == 'linear' or isinstance(OPERATIONS.get(kind), NonLinear):
        # Each row (last dimension) of the first operand by itself.
        rows = x.reshape(-1, x.shape[-1])
        step = max(1, block // x.shape[-1])
        parts = [compute([r, *operands[1:]]) for r in rows.split(step)]
        return torch.cat(parts).view(*x.shape[:-1], parts[0].shape[-1])
    y = operands[1] if len(operands) > 1 else None
    if kind in _BY_ELEMENT and y is not None and x.shape == y.shape:
        pairs = zip(x.flatten().split(block), y.flatten().split(block), strict=True)
        return torch.cat([compute(pair) for pair in pairs]).view(x.shape)
    if kind == 'matmul' and y is not None and x.shape[:-2] == y.shape[:-2] != ():
        left, right = x.flatten(0, -3), y.flatten(0, -3)
        step = max(1, block // (x.shape[-2] * max(x.shape[-1], y.shape[-1])))
        pairs = zip(left.split(step), right.split(step), strict=True)
        parts = [compute(pair) for pair in pairs]
        return torch.cat(parts).view(*x.shape[:-1], y.shape[-1])
    return compute(operands)
