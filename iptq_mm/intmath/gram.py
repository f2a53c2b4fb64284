"""Exact sums of integer rows and of their products, ``sum q`` and ``sum q q^T``."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .product import (
    FLOAT32_EXACT,
    FLOAT64_EXACT,
    integer_linear,
    integer_matmul,
    multiplies_bytes,
)

#: Least number of rows for which one matrix product is worth its overhead.
_MIN_CHUNK = 64
#: Largest magnitude of a byte.
_BYTE = 128
#: Bits of a digit of a weighted row, and how many there are: each digit is a byte.
_DIGIT_BITS, _DIGITS = 7, 3
#: The largest weight of a row of bytes for which they are enough.
_MOST = 2 ** (_DIGIT_BITS * _DIGITS) // _BYTE


class Gram(NamedTuple):
    """Sums over rows, in float64 on the CPU, which holds them exactly.

    Attributes:
        total: ``sum w q``, shape (K,).
        second: ``sum w q q^T``, shape (K, K).
    """

    total: Tensor
    second: Tensor


def gram(rows: Tensor, weights: Tensor | None = None) -> Gram:
    """The sums over rows.

    256 neighbouring integers minus their middle m are bytes y, for which processors
    have instructions. The sums are corrected afterwards:
    ``sum q q^T = sum y y^T + m (sum y) 1^T + m 1 (sum y)^T + n m^2``.

    Args:
        rows: Integers within 16 bits, at least one row, shape (n, K).
        weights: How often each row counts, int64, shape (n,). None: once.

    Raises:
        ValueError: If an integer is beyond 16 bits.
    """
    low, high = (int(t) for t in torch.aminmax(rows))
    bound = max(-low, high)
    if bound >= 2**16:
        raise ValueError(f'an input of {bound} is beyond 16 bits')
    if high - low > 255 or (weights is not None and int(weights.max()) > _MOST):
        return _of_words(rows, bound, weights)
    middle = 0 if rows.dtype == torch.int8 else low + _BYTE
    if middle:
        rows = rows - middle
    rows = rows.to(torch.int8)
    if weights is None:
        count = len(rows)
        total = rows.sum(0, dtype=torch.int32 if count < 2**23 else torch.int64)
        second = _products(rows, rows)
    else:
        count = int(weights.sum())
        weighted = rows * weights.to(torch.int32)[:, None]
        total = weighted.sum(0)
        second = _weighted_products(weighted, rows)
    total = total.cpu().double()
    if middle:
        second += (middle * total + count * middle**2)[:, None]
        second += middle * total
        total += count * middle
    return Gram(total, second)


def _weighted_products(weighted: Tensor, rows: Tensor) -> Tensor:
    """``weighted.T @ rows``: float64, shape (K, K).

    Args:
        weighted: Bytes times weights, int32, shape (n, K).
        rows: int8, shape (n, K).
    """
    if not multiplies_bytes(rows.device):
        bound = min(FLOAT64_EXACT, len(rows) * _BYTE**2 * _MOST)
        return integer_matmul(weighted.t(), rows, bound).cpu().double()
    low = (1 << _DIGIT_BITS) - 1
    digits = [weighted >> (_DIGIT_BITS * i) for i in range(_DIGITS)]
    # The last one has the sign.
    bytes_ = [d.bitwise_and_(low) for d in digits[:-1]] + digits[-1:]
    made = _products(torch.cat([b.to(torch.int8) for b in bytes_], 1), rows)
    second, *others = made.split(rows.shape[1])
    for i, part in enumerate(others, 1):
        second.add_(part, alpha=1 << (_DIGIT_BITS * i))
    return second


def _products(left: Tensor, right: Tensor) -> Tensor:
    """``left.T @ right`` of bytes: float64, shape (K, K).

    Chunks of rows are summed exactly. Their sums fit int32 if bytes are multiplied as
    such; else the integers of float32, if chunks have enough rows then, or of float64.
    """
    if multiplies_bytes(left.device):
        size = (2**31 - 1) // _BYTE**2
    else:
        size = FLOAT32_EXACT // _BYTE**2
        size = size if size >= _MIN_CHUNK else FLOAT64_EXACT // _BYTE**2
    second: Tensor | None = None
    for a, b in zip(left.split(size), right.split(size), strict=True):
        columns = a.t().contiguous()
        others = columns if left is right else b.t().contiguous()
        made = integer_linear(columns, others, len(a) * _BYTE**2).cpu().double()
        second = made if second is None else second.add_(made)
    assert second is not None
    return second


def _of_words(rows: Tensor, bound: int, weights: Tensor | None) -> Gram:
    """The sums over rows of up to 16 bits, or of any weights."""
    rows = rows.long()
    weighted = rows if weights is None else rows * weights[:, None]
    most = 1 if weights is None else max(int(weights.max()), 1)
    square = max(bound, 1) ** 2 * most
    size = FLOAT32_EXACT // square
    limit = FLOAT32_EXACT
    if size < _MIN_CHUNK:
        size, limit = max(1, FLOAT64_EXACT // square), FLOAT64_EXACT
    second = rows.new_zeros(rows.shape[1], rows.shape[1])
    for a, b in zip(weighted.split(size), rows.split(size), strict=True):
        second += integer_matmul(a.t(), b, limit)
    return Gram(weighted.sum(0).cpu().double(), second.cpu().double())
