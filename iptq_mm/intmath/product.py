"""Exact matrix products and convolutions of integer tensors.

The reference computes in int64. The fast path computes the same integers, either with
the int8 instructions of the CPU or GPU, or in float32 or float64. A float product is
used only if a bound proves that every partial sum fits the significand: then nothing is
rounded, in any order of summation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from .gpu_product import gpu_product, gpu_product_is_exact

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

    float32 is not exact if the user allows its products to use narrower types
    (``torch.set_float32_matmul_precision``, ``torch.backends``).
    """
    if _IN_INT64.get():
        return torch.int64
    if bound <= FLOAT32_EXACT and float32_precision() == 'highest':
        return torch.float32
    return torch.float64 if bound <= FLOAT64_EXACT else torch.int64


def float32_precision() -> str:
    """What torch may make of products in float32: ``'highest'`` is all 24 bits."""
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:  # torch.backends allows a narrower type somewhere
        return 'high'


@lru_cache(maxsize=1)
def int8_product_is_exact() -> bool:
    """Whether ``torch._int_mm`` is exact and quick here: whether it uses VNNI.

    Without VNNI, its kernels add pairs of products in saturating 16 bits. That the CPU
    has VNNI is not enough: ``ONEDNN_MAX_CPU_ISA`` may forbid it, so that products which
    would saturate are tried.
    """
    if not hasattr(torch, '_int_mm') or not _cpu_has_vnni():
        return False
    # Modes and default devices are those of a thread: the caller may be tracing.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(_saturates_nowhere).result()


def _cpu_has_vnni() -> bool:
    """Whether the CPU has products of bytes for vectors of 256 or 512 bits."""
    probe = getattr(torch.cpu, '_is_vnni_supported', lambda: False)
    capabilities: Callable = getattr(torch.cpu, 'get_capabilities', dict)
    return bool(probe() or capabilities().get('avx_vnni', False))


def _saturates_nowhere() -> bool:
    """Whether the largest products of bytes are added up exactly."""
    for rows, depth, columns in ((1, 2, 1), (17, 64, 33)):
        for a, b in ((-128, -128), (-128, 127), (127, -128), (127, 127)):
            left = torch.full((rows, depth), a, dtype=torch.int8)
            right = torch.full((columns, depth), b, dtype=torch.int8)
            made = torch._int_mm(_dense(left), _dense(right).t())
            if not bool((made == a * b * depth).all()):
                return False
    return True


def integer_matmul(a: Tensor, b: Tensor, bound: int) -> Tensor:
    """``a @ b``.

    Args:
        a: Integers, shape (..., n, k).
        b: Integers, shape (..., k, m).
        bound: Upper bound of the magnitude of every partial sum.

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
        weight: int8 or int16, shape (m, k).
        bound: Upper bound of the magnitude of every partial sum.
        shift: Subtracted from ``x``, so that it fits int8; its product with the sums of
            the weights is added back, which is exact.

    Returns:
        Integers, shape (..., m): int32 where the bound permits, or int64.
    """
    if (
        weight.dtype == torch.int8
        and (x.dtype == torch.int8 or shift)
        and x.shape[-1] > 1
        and multiplies_bytes(x.device)
    ):
        rows = x.reshape(-1, x.shape[-1])
        rows = rows if x.dtype == torch.int8 and not shift else (rows - shift)
        rows = rows.to(torch.int8)
        if x.device.type == 'cpu':
            result = torch._int_mm(_dense(rows), _dense(weight).t())
        else:
            result = gpu_product(rows, weight.t())
        if shift:
            result += shift * weight.sum(1, dtype=torch.int32)
        return result.view(*x.shape[:-1], weight.shape[0])
    return integer_matmul(x, weight.t(), bound)


def multiplies_bytes(device: torch.device) -> bool:
    """Whether a device multiplies bytes as such, exactly."""
    if _IN_INT64.get():
        return False
    if device.type == 'cpu':
        return int8_product_is_exact()
    return device.type == 'cuda' and gpu_product_is_exact(device)


def _dense(matrix: Tensor) -> Tensor:
    """``matrix`` with the strides (columns, 1).

    For other strides (an expanded row, a size of 1) ``torch._int_mm`` returns
    uninitialized memory (pytorch/pytorch#195066).
    """
    return matrix.contiguous().as_strided(matrix.shape, (matrix.shape[1], 1))


def integer_conv2d(x: Tensor, weight: Tensor, bound: int, **attributes) -> Tensor:
    """Two-dimensional convolution of integers, in float64 or int64.

    float32 kernels may use Winograd's transform, to whose sums the bound does not
    apply; the float64 kernels of CPUs multiply and add directly. Those of GPUs may use
    Fourier transforms, whose error is far below 1/2.

    Args:
        x: Integers, shape (n, c, h, w).
        weight: int8 or int16, shape (m, c / groups, kh, kw).
        bound: Upper bound of the magnitude of every partial sum.
        **attributes: stride, padding, dilation, groups.

    Returns:
        Integers, shape (n, m, oh, ow): int32 where the bound permits, or int64.
    """
    dtype = torch.float64 if carrier(bound) != torch.int64 else torch.int64
    result = F.conv2d(x.to(dtype), weight.to(dtype), None, **attributes)
    if x.device.type != 'cpu' and dtype == torch.float64:
        result = result.round_()
    return result.to(torch.int32 if bound < 2**31 else torch.int64)
