"""How the library stores integers: a type of element and a zero point."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .commands import I8, I16, I32, I64, U8, Type

_SIZES = {U8: 1, I8: 1, I16: 2, I32: 4, I64: 8}
_TYPES = {torch.int8: I8, torch.int16: I16, torch.int32: I32, torch.int64: I64}


@dataclass(frozen=True)
class Storage:
    """How integers are stored: as ``code = integer + zero_point``.

    Attributes:
        type: Type of a code, such as ``U8``.
        zero_point: The code of 0.

    Example:
        >>> storage_for(-3, 252)  # 256 integers fit unsigned bytes
        Storage(type=<Type.U8: 0>, zero_point=3)
    """

    type: Type
    zero_point: int = 0

    @property
    def size(self) -> int:
        """Bytes of a code."""
        return _SIZES[self.type]

    @property
    def bound(self) -> int:
        """Largest magnitude of an integer that can be stored."""
        if self.type == U8:
            return max(abs(self.zero_point), abs(255 - self.zero_point))
        return abs(self.zero_point) + 2 ** (8 * self.size - 1)


#: How int8 is stored.
SIGNED_BYTES = Storage(U8, 128)


def storage_for(low: int, high: int) -> Storage:
    """Returns the smallest storage of integers in ``low..high``.

    Raises:
        OverflowError: If they need more than 32 bits.
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
    """Returns the storage that torch uses for a type of integers."""
    return Storage(_TYPES[dtype])
