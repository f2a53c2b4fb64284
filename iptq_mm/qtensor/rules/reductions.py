"""Rules of means, sums, norms and maxima along dimensions."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ..errors import unsupported
from ..mode import Mode
from ..tensor import QTensor
from .operands import run_operation
from .table import rule


def _dims(x: QTensor, dim: Any) -> tuple[int, ...]:
    """The dimensions that ``dim`` names; all of them where it names none."""
    if dim is None or dim == ():
        return tuple(range(x.payload.dim()))
    return (dim,) if isinstance(dim, int) else tuple(dim)


# A sum of integers and one requantization, which divides as well: a site.
@rule(torch.mean, Tensor.mean, computes=True)
def mean(
    mode: Mode, x: QTensor, dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> QTensor:
    """The mean along dimensions."""
    attributes = dict(dim=_dims(x, dim), keepdim=keepdim)
    return run_operation(mode, 'mean', [x], attributes)


# The mean times the number of elements: what differs is the scale.
@rule(torch.sum, Tensor.sum, computes=True)
def _sum(
    mode: Mode, x: QTensor, dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> QTensor:
    count = math.prod(x.payload.shape[d] for d in _dims(x, dim))
    return mean(mode, x, dim, keepdim).scaled(float(count))


@rule(
    torch.norm, Tensor.norm, torch.linalg.norm, torch.linalg.vector_norm, computes=True
)
def _norm(
    mode: Mode,
    x: QTensor,
    p: Any = 2,
    dim: Any = None,
    keepdim: bool = False,
    dtype: Any = None,
    ord: Any = None,
) -> QTensor:
    if (p if ord is None else ord) not in (2, 2.0, 'fro', None):
        raise unsupported(
            f'the norm of order {p} has no rule, only that of order 2 has'
        )
    square = run_operation(mode, 'mul', [x, x], {})
    total = _sum(mode, square, dim, keepdim)
    return run_operation(mode, 'unary', [total], {'name': 'sqrt'})


# The largest integer stands for the largest number, and is requantized: a site, too.
@rule(torch.amax, Tensor.amax, computes=True)
def amax(mode: Mode, x: QTensor, dim: Any = (), keepdim: bool = False) -> QTensor:
    """The largest element along dimensions."""
    attributes = dict(dim=_dims(x, dim), keepdim=keepdim)
    return run_operation(mode, 'max', [x], attributes)


@rule(torch.amin, Tensor.amin, computes=True)
def _amin(mode: Mode, x: QTensor, dim: Any = (), keepdim: bool = False) -> QTensor:
    return amax(mode, x.scaled(-1.0), dim, keepdim).scaled(-1.0)


@rule(torch.max, Tensor.max, computes=True)
def _max(mode: Mode, x: QTensor, *args: Any, **kwargs: Any) -> QTensor:
    if args or kwargs:
        raise unsupported(
            'max with an index, or of two tensors, has no rule', 'call amax instead'
        )
    return amax(mode, x)
