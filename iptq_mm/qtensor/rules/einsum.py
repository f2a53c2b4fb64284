"""The rule of einsum: products of two tensors become matrix products."""

from __future__ import annotations

import math
from typing import Any

import torch

from ..errors import unsupported
from ..mode import Mode
from ..tensor import QTensor
from .dispatch import apply_rule
from .table import rule


@rule(torch.einsum, computes=True)
def _einsum(mode: Mode, equation: Any, *operands: Any) -> QTensor:
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = tuple(operands[0])
    if not isinstance(equation, str) or len(operands) != 2:
        raise unsupported(
            'einsum of anything but an equation and two tensors has no rule'
        )
    terms, out = _terms(equation, [len(x.shape) for x in operands])
    if any(len(set(term)) < len(term) for term in (*terms, out)):
        raise unsupported(f'einsum {equation} repeats an index, which has no rule')
    left, right = terms
    if any(i not in out for i in set(left) ^ set(right)):
        raise unsupported(f'einsum {equation} adds up one tensor alone: it has no rule')
    size: dict[str, int] = {}
    for term, x in zip(terms, operands, strict=True):
        size |= zip(term, x.shape, strict=True)
    shared = [i for i in out if i in left and i in right]
    summed = [i for i in left if i in right and i not in out]
    first = [i for i in out if i in left and i not in right]
    second = [i for i in out if i in right and i not in left]
    if not summed:  # nothing is added up: an elementwise product
        order = shared + first + second
        a, b = (
            _arranged(x, t, [i if i in t else None for i in order])
            for t, x in zip(terms, operands, strict=True)
        )
        made = apply_rule(mode, torch.mul, (a, b), {})
        return made.permute([order.index(i) for i in out])

    def numbers(indices: list[str]) -> int:
        return math.prod(size[i] for i in indices)

    batch = [size[i] for i in shared]
    a = _arranged(operands[0], left, [*shared, *first, *summed])
    b = _arranged(operands[1], right, [*shared, *summed, *second])
    a = a.reshape(*batch, numbers(first), numbers(summed))
    b = b.reshape(*batch, numbers(summed), numbers(second))
    made = apply_rule(mode, torch.matmul, (a, b), {})
    order = shared + first + second
    made = made.reshape([size[i] for i in order])
    return made.permute([order.index(i) for i in out])


def _terms(equation: str, ranks: list[int]) -> tuple[list[list[str]], list[str]]:
    """The indices of the operands and of the result; an ellipsis is several."""
    equation = equation.replace(' ', '')
    inputs, arrow, output = equation.partition('->')
    terms, most = [], 0
    for text, rank in zip(inputs.split(','), ranks, strict=True):
        rest = rank - len(text.replace('...', ''))
        most = max(most, rest if '...' in text else 0)
        terms.append((text, rest))
    dots = [f'.{i}' for i in range(most)]

    def named(text: str, rest: int) -> list[str]:
        before, ellipsis, after = text.partition('...')
        middle = dots[most - rest :] if ellipsis else []
        return [*before, *middle, *after]

    found = [named(*term) for term in terms]
    if arrow:
        return found, named(output, most)
    every = [i for term in found for i in term]
    once = sorted(i for i in set(every) if every.count(i) == 1 and i not in dots)
    return found, [*dots, *once]


def _arranged(x: Any, term: list[str], order: list[str | None]) -> Any:
    """A tensor with its dimensions in another order; None is one of size 1."""
    x = x.permute([term.index(i) for i in order if i is not None])
    for position, i in enumerate(order):
        if i is None:
            x = x.unsqueeze(position)
    return x
