"""Products of 8-bit integers by the int8 instructions of a GPU."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

#: ``torch._int_mm`` on CUDA wants more than 16 rows, and multiples of 8 elsewhere.
_FEWEST_ROWS = 24
_MULTIPLE = 8
#: Rows, terms and columns of the products that are tried.
_TRIED = ((1, 3, 5), (197, 192, 576), (40, 4096, 24))


@lru_cache(maxsize=16)
def gpu_product_is_exact(device: torch.device) -> bool:
    """Whether :func:`gpu_product` works on a device; tried once in a process.

    Products of random and of extreme integers are compared with those in int64.
    """
    generator = torch.Generator().manual_seed(0)
    for rows, terms, columns in _TRIED:
        a = torch.randint(-128, 128, (rows, terms), generator=generator).to(torch.int8)
        b = torch.randint(-128, 128, (columns, terms), generator=generator).to(
            torch.int8
        )
        a[0], b[0] = -128, -128
        expected = a.long() @ b.long().t()
        try:
            found = gpu_product(a.to(device), b.to(device).t()).cpu()
        except RuntimeError:  # a GPU or a version without such instructions
            return False
        if not torch.equal(found.long(), expected):
            return False
    return True


def gpu_product(a: Tensor, b: Tensor) -> Tensor:
    """``a @ b``, with zeros around the factors where the instructions want more.

    Args:
        a: int8, shape (n, k).
        b: int8, shape (k, m); fastest if it is a transposed matrix.

    Returns:
        int32, shape (n, m).
    """
    rows, terms = a.shape
    columns = b.shape[1]
    fill = -terms % _MULTIPLE
    more_rows = max(_FEWEST_ROWS, rows + -rows % _MULTIPLE) - rows
    left = F.pad(a, (0, fill, 0, more_rows)) if fill or more_rows else a
    more_columns = -columns % _MULTIPLE
    right = b.t()
    if fill or more_columns:
        right = F.pad(right, (0, fill, 0, more_columns))
    made = torch._int_mm(left.contiguous(), right.contiguous().t())
    return made[:rows, :columns]
