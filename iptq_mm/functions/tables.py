"""One look-up: what functions that are a table of all inputs share."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import Constants
from .fixed_point import ints, tensor


def look_up(q: Tensor, constants: Constants) -> Tensor:
    """The entries of ``table`` for integers of which the least is ``first``.

    Args:
        q: Integers, any shape.
        constants: ``table``, int64, shape (n,), and the int ``first``.

    Returns:
        int64, the shape of ``q``.
    """
    (first,) = ints(constants, 'first')
    index = (q.to(torch.int32) - first).flatten()
    return tensor(constants, 'table').index_select(0, index).view(q.shape)
