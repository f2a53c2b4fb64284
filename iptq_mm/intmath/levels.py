"""Levels: some integers of a range, which are the only ones that a value may have.

A value with ``2**b`` levels takes one of ``2**b`` integers of a wider range, so that a
code of ``b`` bits can store it: the index of its level. The levels need not be evenly
spaced. Arithmetic never sees an index; it is done with the integers themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor


def check_levels(levels: Sequence[int], qmin: int, qmax: int) -> None:
    """Make sure that integers can be the levels of a range.

    Raises:
        ValueError: If they are not in rising order, leave ``qmin..qmax``, or lack 0.
    """
    rising = all(a < b for a, b in zip(levels, levels[1:], strict=False))
    if not rising or 0 not in levels or levels[0] < qmin or levels[-1] > qmax:
        raise ValueError(
            f'levels {list(levels)} are not integers of {qmin}..{qmax} in rising order '
            'with 0 among them'
        )


@lru_cache(maxsize=512)
def level_table(levels: tuple[int, ...], qmin: int, qmax: int) -> Tensor:
    """The nearest level of each integer of ``qmin..qmax``, in rising order.

    Of two levels that are equally near, it is the upper one::

        >>> level_table((-1, 0, 2, 5), qmin=-2, qmax=5).tolist()
        [-1, -1, 0, 2, 2, 2, 5, 5]

    Args:
        levels: Integers of the range, in rising order.
        qmin: Smallest integer.
        qmax: Largest integer.

    Returns:
        int32, shape (qmax - qmin + 1,); shared, so that nobody may change it.
    """
    known = torch.tensor(levels)
    # Twice the middle between neighbours: the first number that belongs to the upper.
    ends = known[:-1] + known[1:]
    index = torch.searchsorted(ends, 2 * torch.arange(qmin, qmax + 1), right=True)
    return known[index].to(torch.int32)


def look_up(table: Tensor, first: int, q: Tensor) -> Tensor:
    """The entry for each integer.

    Args:
        table: Shape (n,); its first entry is for the integer ``first``.
        first: See ``table``.
        q: Integers from ``first`` to ``first + n - 1``, any shape.
    """
    index = q.to(torch.int32)
    index = (index - first).flatten()
    return table.index_select(0, index).view(q.shape)
