"""The exact integer square root.

Source: I-BERT (Algorithm 4, Newton's method from the seed ``2**ceil(bits/2)``). Unlike
a fixed seed of ``2**16``, it also converges for small radicands.
"""

from __future__ import annotations

import torch
from torch import Tensor

# The seed is above the root by less than a factor of 2. A step takes the relative error
# e below e*e/2, so 0.5 -> 0.125 -> 2**-7 -> 2**-15 -> 2**-31 -> exact.
_NEWTON_STEPS = 6


def bit_length(value: Tensor) -> Tensor:
    """Number of bits of each non-negative integer (0 for 0), by comparisons and shifts.

    Args:
        value: Non-negative integers, any shape.

    Returns:
        int64, the shape of ``value``.
    """
    value = value.long()
    bits = torch.zeros_like(value)
    for step in (32, 16, 8, 4, 2, 1):
        above = (value >> step) > 0
        bits += above * step
        value = torch.where(above, value >> step, value)
    return bits + (value > 0)


def isqrt(value: Tensor) -> Tensor:
    """``floor(sqrt(value))`` of each integer.

    Example::

        >>> isqrt(torch.tensor([0, 15, 16, 2**62]))
        tensor([         0,          3,          4, 2147483648])

    Args:
        value: Integers in ``0 .. 2**62``, any shape.

    Returns:
        int64, the shape of ``value``; exact.
    """
    value = value.long()
    root = torch.ones_like(value) << ((bit_length(value) + 1) >> 1)
    for _ in range(_NEWTON_STEPS):
        # Newton's step falls above the root; at the root it may rise by one.
        root = torch.minimum(root, (root + value // root) >> 1)
        root = root.clamp_min(1)
    return torch.where(value == 0, 0, root)
