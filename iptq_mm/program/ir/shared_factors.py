"""Weights that are codes of 4 bits times factors that groups of depths share.

A program holds the products, as bytes: codes and factors are found in them. A group of
8 weights takes 36 bits then instead of 64. The kernel multiplies a panel out before it
uses it for many rows (``product/unpack.inl``).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .packed_tensors import largest_factors

#: Sizes of groups, in the order in which they are tried: a larger one takes less.
GROUPS = (32, 16, 8)
#: Largest magnitude of a code, and largest factor: both have 4 bits.
_CODE, _FACTOR = 7, 16
#: Columns that tell at little cost that there are no factors.
_FEW = 16


class Shared(NamedTuple):
    """Weights as codes and factors.

    Attributes:
        codes: int8, shape (n, taps, depth).
        group: Depths that share a factor; 0: the codes are the weights.
        factors: uint8, 1 to 16, shape (n, taps, groups), or None.
    """

    codes: Tensor
    group: int
    factors: Tensor | None


def shared_factors(weight: Tensor) -> Shared:
    """Codes of 4 bits and factors whose products are the weights, if there are such.

    Args:
        weight: int8, shape (n, taps, depth).
    """
    for group in GROUPS:
        if _factors(weight[:_FEW], group) is None:
            continue
        factors = _factors(weight, group)
        if factors is None:
            continue
        each = factors.repeat_interleave(group, 2)[..., : weight.shape[2]]
        codes = torch.div(weight, each, rounding_mode='trunc').to(torch.int8)
        return Shared(codes, group, factors)
    return Shared(weight, 0, None)


def _factors(weight: Tensor, group: int) -> Tensor | None:
    """The factors of groups of this size; None: some group has none."""
    magnitudes = weight.numpy().astype(np.int16)
    np.abs(magnitudes, out=magnitudes)
    rest = -weight.shape[2] % group
    magnitudes = np.pad(magnitudes, [(0, 0), (0, 0), (0, rest)])
    grouped = magnitudes.reshape(*weight.shape[:2], -1, group)
    divisors = np.gcd.reduce(grouped, axis=3)
    factors = largest_factors(_FACTOR)[divisors]
    if (grouped.max(3) > _CODE * factors).any():
        return None
    return torch.from_numpy(factors).to(torch.uint8)
