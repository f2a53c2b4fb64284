"""Exact products of integer tensors.

The reference is int64. The fast path computes the same integers: an int8
product by the CPU's or GPU's integer instructions, or a product in float32 or
float64 whose every partial sum is proved to stay within the significand, in
which case no rounding can happen, in any order of summation.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

#: Integers up to this magnitude are exact in float32 and float64.
FLOAT32_EXACT = 2**24
FLOAT64_EXACT = 2**53


_IN_INT64: ContextVar[bool] = ContextVar('products_in_int64', default=False)


@contextmanager
def reference_products(enabled: bool = True) -> Iterator[None]:
    """Compute products in int64 within the block, without the fast path.

    Other threads are not affected.

    Args:
        enabled: False: with the fast path, whatever an outer block says.
    """
    token = _IN_INT64.set(enabled)
    try:
        yield
    finally:
        _IN_INT64.reset(token)


def carrier(bound: int) -> torch.dtype:
    """The dtype whose arithmetic is exact for sums of magnitude ``bound``.

    float32 is none where the user lets its products be those of narrower types.
    """
    if _IN_INT64.get():
        return torch.int64
    if bound <= FLOAT32_EXACT and torch.get_float32_matmul_precision() == 'highest':
        return torch.float32
    return torch.float64 if bound <= FLOAT64_EXACT else torch.int64


@lru_cache(maxsize=1)
def int8_product_is_exact() -> bool:
    """Whether ``torch._int_mm`` uses VNNI here.

    Without VNNI some kernels add pairs of products in saturating 16 bits; with
    it (or in CUDA's kernels) the product is exact and four times as fast.
    """
    probe = getattr(torch.cpu, '_is_vnni_supported', lambda: False)
    return bool(probe()) and hasattr(torch, '_int_mm')


def integer_matmul(a: Tensor, b: Tensor, bound: int) -> Tensor:
    """``a @ b``.

    Args:
        a: Integers, shape (..., n, k).
        b: Integers, shape (..., k, m).
        bound: No partial sum exceeds it in magnitude.

    Returns:
        Integers, shape (..., n, m): int32 where the bound permits, or int64.
    """
    dtype = carrier(bound)
    result = torch.matmul(a.to(dtype), b.to(dtype))
    return result.to(torch.int32 if bound < 2**31 else torch.int64)


def integer_linear(x: Tensor, weight: Tensor, bound: int, shift: int = 0) -> Tensor:
    """``x @ weight.T``.

    Args:
        x: Integers, shape (..., k).
        weight: int8, shape (m, k).
        bound: No partial sum exceeds it in magnitude.
        shift: Subtracted from ``x`` to bring it into int8, and put back exactly
            by the sums of the weights.

    Returns:
        int32, shape (..., m).
    """
    if (
        not _IN_INT64.get()
        and x.device.type == 'cpu'
        and weight.dtype == torch.int8
        and int8_product_is_exact()
        and (x.dtype == torch.int8 or shift)
        and x.shape[-1] > 1
    ):
        rows = x.reshape(-1, x.shape[-1])
        rows = rows if x.dtype == torch.int8 and not shift else (rows - shift)
        result = torch._int_mm(_dense(rows.to(torch.int8)), _dense(weight).t())
        if shift:
            result += shift * weight.sum(1, dtype=torch.int32)
        return result.view(*x.shape[:-1], weight.shape[0])
    return integer_matmul(x, weight.t(), bound)


def _dense(matrix: Tensor) -> Tensor:
    """``matrix`` with the strides (columns, 1).

    ``torch._int_mm`` of other strides (an expanded row, a size of 1) returns
    memory that nothing was written to (pytorch/pytorch#195066).
    """
    return matrix.contiguous().as_strided(matrix.shape, (matrix.shape[1], 1))


def integer_conv2d(x: Tensor, weight: Tensor, bound: int, **attributes) -> Tensor:
    """Two-dimensional convolution of integers, in float64 or int64.

    float32 kernels may use Winograd's transform, whose sums are other sums than
    the bound speaks of; the float64 kernels multiply and add directly.

    Args:
        x: Integers, shape (n, c, h, w).
        weight: int8, shape (m, c / groups, kh, kw).
        bound: No partial sum exceeds it in magnitude.
        **attributes: stride, padding, dilation, groups.

    Returns:
        int32, shape (n, m, oh, ow).
    """
    dtype = torch.float64 if carrier(bound) != torch.int64 else torch.int64
    result = F.conv2d(x.to(dtype), weight.to(dtype), None, **attributes)
    return result.to(torch.int32)
