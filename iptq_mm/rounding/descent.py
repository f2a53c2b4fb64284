"""Decisions about column after column, each of which moves those that follow.

The columns are halved again and again: when the left half is decided, one product of
matrices moves the right half. So nearly all arithmetic is in large products.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

#: Columns that are decided without products in between.
_LEAF = 8


def in_order(
    values: Tensor, matrix: Tensor, decide: Callable[[int, Tensor, Tensor], Any]
) -> Tensor:
    """Decide about column after column.

    ``values[k] -= matrix[j, k] * moves[j]`` for all k > j.

    Args:
        values: By column, shape (K, rows); changed: each has the value on which was
            decided.
        matrix: Shape (K, K), used above the diagonal.
        decide: Takes a column's index and its values now, shape (rows,), and writes
            by how much to move to its last argument, ``moves[j]``.

    Returns:
        The moves, shape (K, rows).
    """
    moves = torch.empty_like(values)
    _between(0, len(values), values, moves, matrix, decide)
    return moves


def _between(
    start: int,
    stop: int,
    values: Tensor,
    moves: Tensor,
    matrix: Tensor,
    decide: Callable[[int, Tensor, Tensor], Any],
) -> None:
    """The columns between two of them; see :func:`in_order`.

    No inner function that calls itself: it would keep the tensors until Python looks
    for cycles, gigabytes of them.
    """
    if stop - start > _LEAF:
        # A multiple of the leaf, so that products are of even shapes.
        middle = start + -(-(stop - start) // (2 * _LEAF)) * _LEAF
        _between(start, middle, values, moves, matrix, decide)
        block = matrix[start:middle, middle:stop]
        values[middle:stop].addmm_(block.t(), moves[start:middle], alpha=-1)
        _between(middle, stop, values, moves, matrix, decide)
        return
    for j in range(start, stop):
        move = moves[j]
        decide(j, values[j], move)
        values[j + 1 : stop].addr_(matrix[j, j + 1 : stop], move, alpha=-1)


def coordinate_descent(
    codes: Tensor, steps: Tensor, gradient: Tensor, hessian: Tensor, qmax: int
) -> tuple[Tensor, Tensor]:
    """One sweep of coordinate descent on ``(w - s q)^T H (w - s q)``.

    Column by column, each code becomes the best one given all others: the integer
    nearest to ``q_j + g_j / (s H_jj)``, as the error is a parabola.

    Args:
        codes: q, float64, shape (rows, K).
        steps: s, shape (rows, K) or (rows, 1).
        gradient: g = H (w - s q), shape (rows, K).
        hessian: H, shape (K, K).
        qmax: Largest magnitude of a code.

    Returns:
        The new codes, and by how much the error of each row changes, shape (rows,): 0
        where no code has, else not more than 0.
    """
    values, steps = gradient.t().clone(memory_format=torch.contiguous_format), steps.t()
    found = codes.t().clone(memory_format=torch.contiguous_format)
    curvature = hessian.diagonal()
    curvatures = curvature.tolist()

    def step(j: int, g: Tensor, move: Tensor) -> None:
        if curvatures[j] <= 0:  # an input that is never there
            move.zero_()
            return
        width, old = steps[j if len(steps) > 1 else 0], found[j]
        new = torch.addcdiv(old, g, width * curvatures[j])
        new.round_().clamp_(-qmax, qmax)
        torch.sub(new, old, out=move)
        move.mul_(width)
        old.copy_(new)

    moves = in_order(values, hessian, step)
    # Each move m changes the error by m**2 H_jj - 2 m g_j.
    change = (moves * curvature[:, None]).sub_(values, alpha=2).mul_(moves).sum(0)
    return found.t(), change
