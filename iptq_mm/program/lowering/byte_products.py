"""Products of activations by the CPU's instructions for bytes.

Attention multiplies integers of 8 bits, and probabilities of 16 bits, which are two
bytes: ``x = 256 * high + low + offset``. The parts are multiplied as bytes, in 32
bits, and put together; that is exact, and faster than floats that hold the sums.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...intmath.gpu_product import gpu_product, gpu_product_is_exact
from ...intmath.product import carrier, int8_product_is_exact

#: Products in a matrix below which a call for each matrix costs more than it saves.
_WORTH = 2**18
#: VNNI multiplies an unsigned byte, to which a signed one is moved, and a signed one.
_BYTE_PRODUCT = 255 * 128


def suits(shapes: Sequence[tuple[int, ...]], bounds: Sequence[tuple[int, int]]) -> bool:
    """Whether :func:`byte_matmul` serves here, and is the fastest.

    Args:
        shapes: Of the two factors.
        bounds: Lowest and highest element of each.
    """
    (left, right), ((low, high), second) = shapes, bounds
    if len(left) < 2 or len(left) != len(right) or left[:-2] != right[:-2]:
        return False
    n, k, m = left[-2], left[-1], right[-1]
    return (
        int8_product_is_exact()
        # Strides of matrices with a size of 1 are not what ``_int_mm`` takes.
        and min(n, k, m) > 1
        and n * k * m >= _WORTH
        and k * _BYTE_PRODUCT < 2**31
        and _are_bytes(*second)
        and high - low < 2**16
        and max(-low, high) < 2**31
    )


def byte_matmul(a: Tensor, b: Tensor, low: int, high: int) -> Tensor:
    """``a @ b``, exactly.

    Args:
        a: Integers from ``low`` to ``high``, at most 2**16 of them, shape (..., n, k).
        b: Integers from -128 to 127, shape (..., k, m).
        low: See ``a``.
        high: See ``a``.

    Returns:
        int32, shape (..., n, m); int64 where 32 bits might not hold what it is put
        together from.
    """
    matrices = b.to(torch.int8).reshape(-1, *b.shape[-2:]).contiguous()
    two = high - low >= 2**8
    reach = 2**15 + 2**7 if two else 2**7
    offset = 0 if _are_bytes(low, high) else low + reach
    wide = (
        torch.int32
        if a.shape[-1] * 128 * (reach + abs(offset)) < 2**31
        else torch.int64
    )

    def product(part: Tensor) -> Tensor:
        rows = part.to(torch.int8).reshape(-1, *part.shape[-2:]).contiguous()
        return torch.ops.iptq_mm.int8_bmm(rows, matrices).to(wide)

    if two:  # one below the other: half as many products
        moved = a.to(torch.int32) - low
        parts = product(torch.cat([(moved >> 8) - 128, (moved & 255) - 128], -2))
        count = a.shape[-2]
        result = parts[:, :count] * 256 + parts[:, count:]
    else:
        result = product(a.to(torch.int32) - offset)
    if offset:
        result = result + matrices.sum(1, keepdim=True, dtype=wide) * offset
    return result.view(*a.shape[:-1], b.shape[-1])


def _are_bytes(low: int, high: int) -> bool:
    return low >= -128 and high <= 127


def _int8_bmm(a: Tensor, b: Tensor) -> Tensor:
    """Products of contiguous int8 matrices, (b, n, k) and (b, k, m), in int32."""
    out = _int8_bmm_shape(a, b)
    # A view taken by index costs as much as a tenth of a small product.
    for x, y, made in zip(a.unbind(), b.unbind(), out.unbind(), strict=True):
        torch._int_mm(x, y, out=made)
    return out


def _int8_bmm_elsewhere(a: Tensor, b: Tensor) -> Tensor:
    """The same, in floats that hold all sums."""
    dtype = carrier(a.shape[-1] * 2**14)
    return torch.bmm(a.to(dtype), b.to(dtype)).to(torch.int32)


def _int8_mm(a: Tensor, b: Tensor) -> Tensor:
    """The product of int8 matrices, (n, k) and (k, m), in int32, on any device."""
    if a.device.type == 'cuda' and gpu_product_is_exact(a.device):
        return gpu_product(a, b).contiguous()
    return _int8_bmm_elsewhere(a[None], b[None])[0]


def _int8_mm_shape(a: Tensor, b: Tensor) -> Tensor:
    return torch.empty(a.shape[0], b.shape[1], dtype=torch.int32, device=a.device)


def _int8_bmm_shape(a: Tensor, b: Tensor) -> Tensor:
    return torch.empty(
        a.shape[0], a.shape[1], b.shape[2], dtype=torch.int32, device=a.device
    )


_library = torch.library.Library('iptq_mm', 'DEF')
_library.define('int8_bmm(Tensor a, Tensor b) -> Tensor')
_library.define('int8_mm(Tensor a, Tensor b) -> Tensor')
_library.impl('int8_bmm', _int8_bmm, 'CPU')
_library.impl('int8_bmm', _int8_bmm_elsewhere, 'CompositeExplicitAutograd')
_library.impl('int8_bmm', _int8_bmm_shape, 'Meta')
_library.impl('int8_mm', _int8_mm, 'CompositeExplicitAutograd')
_library.impl('int8_mm', _int8_mm_shape, 'Meta')
