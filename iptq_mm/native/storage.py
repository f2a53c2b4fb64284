"""How the library keeps integers: a type, and what code 0 stands for."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .commands import I8, I16, I32, I64, U8

_SIZES = {U8: 1, I8: 1, I16: 2, I32: 4, I64: 8}


_TYPES = {torch.int8: I8, torch.int16: I16, torch.int32: I32, torch.int64: I64}


@dataclass(frozen=True)
class Storage:
    """How an integer is kept.

    Attributes:
        type: One of the types of ``commands.py``.
        zero_point: The code that stands for 0: ``integer = code - zero_point``.
    """

    type: int
    zero_point: int = 0

    @property
    def size(self) -> int:
        """Bytes of an element."""
        return _SIZES[self.type]

    @property
    def bound(self) -> int:
        """Largest magnitude of an integer."""
        if self.type == U8:
            return max(abs(self.zero_point), abs(255 - self.zero_point))
        return abs(self.zero_point) + 2 ** (8 * self.size - 1)


#: What signed bytes are kept as.
SIGNED_BYTES = Storage(U8, 128)


def storage_for(low: int, high: int) -> Storage:
    """The native storage of integers in ``low..high``: bytes for 256 codes.

    Raises:
        OverflowError: If they have more than 32 bits.
    """
    if low >= -128 and high <= 127:
        return SIGNED_BYTES
    if high - low <= 255:
        return Storage(U8, -low)
    if low >= -(2**15) and high < 2**15:
        return Storage(I16)
    if low >= -(2**31) and high < 2**31:
        return Storage(I32)
    raise OverflowError(f'{low}..{high} needs more than 32 bits')


def storage_of(dtype: torch.dtype) -> Storage:
    """How torch keeps integers."""
    return Storage(_TYPES[dtype])
