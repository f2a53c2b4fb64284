"""The exact integer square root.

Source: I-BERT (Algorithm 4, Newton's method seeded at ``2**ceil(bits/2)``);
unlike a fixed seed of 2**16 it converges for small radicands, too.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Newton from a seed less than a factor of 2 above the root: the relative error
# e becomes below e*e/2, so 0.5 -> 0.125 -> 2**-7 -> 2**-15 -> 2**-31 -> exact.
_NEWTON_STEPS = 6


def bit_length(value: Tensor) -> Tensor:
    """Bits of each non-negative integer (0 for 0), by comparisons and shifts.

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

    Args:
        value: Integers in ``0 .. 2**62``, any shape.

    Returns:
        int64, the shape of ``value``; exact.
    """
    value = value.long()
    root = torch.ones_like(value) << ((bit_length(value) + 1) >> 1)
    for _ in range(_NEWTON_STEPS):
        # Above the root Newton's step falls, at the root it may rise by one.
        root = torch.minimum(root, (root + value // root) >> 1)
        root = root.clamp_min(1)
    return torch.where(value == 0, 0, root)
