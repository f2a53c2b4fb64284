"""Integers of few bits, packed: the form in which files and memory hold weights.

Element i of a tensor, as two's complement of b bits, takes the bits b i to b i + b - 1
of a stream, in which bit j is bit j % 8 of byte j // 8. So 8 elements take b bytes, and
two elements of 4 bits a byte, the first one its lower half.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Elements that whole bytes hold, whatever the bits.
_EIGHT = 8


def packed_size(count: int, bits: int) -> int:
    """Bytes that so many elements of so many bits take."""
    return -(-count * bits // 8)


def pack(values: Tensor, bits: int) -> Tensor:
    """Pack integers.

    Args:
        values: Integers within ``-2**(bits-1) .. 2**(bits-1) - 1``, any shape.
        bits: 1 to 7.

    Returns:
        uint8, shape (:func:`packed_size`,), on the device of ``values``. Example::

            >>> pack(torch.tensor([1, -1, 7], dtype=torch.int8), 4).tolist()
            [241, 7]

    Raises:
        ValueError: If bits are not 1 to 7.
        OverflowError: If a value does not fit.
    """
    _check(bits)
    flat = values.reshape(-1)
    half = 1 << (bits - 1)
    if flat.numel():
        low, high = (int(x) for x in torch.aminmax(flat))
        if low < -half or high >= half:
            raise OverflowError(f'{low}..{high} does not fit into {bits} bits')
    eights = torch.nn.functional.pad(flat, (0, -len(flat) % _EIGHT)).view(-1, _EIGHT)
    word = torch.zeros(len(eights), dtype=torch.int64, device=flat.device)
    for i in range(_EIGHT):  # 56 bits at most
        word |= (eights[:, i].long() & (2 * half - 1)) << (bits * i)
    made = torch.empty(len(eights), bits, dtype=torch.uint8, device=flat.device)
    for i in range(bits):
        made[:, i] = (word >> (8 * i)) & 255
    return made.view(-1)[: packed_size(len(flat), bits)].clone()


def unpack(packed: Tensor, bits: int, count: int) -> Tensor:
    """Inverse of :func:`pack`.

    Args:
        packed: uint8, shape (:func:`packed_size`,).
        bits: 1 to 7.
        count: Number of elements.

    Returns:
        int8, shape (count,), on the device of ``packed``.

    Raises:
        ValueError: If bits are not 1 to 7, or ``packed`` has another size.
    """
    _check(bits)
    if packed.dtype != torch.uint8 or packed.shape != (packed_size(count, bits),):
        raise ValueError(
            f'{count} integers of {bits} bits are not {tuple(packed.shape)} of '
            f'{packed.dtype}'
        )
    if bits == 4:  # the common case, an order of magnitude faster
        both = torch.stack([packed << 4, packed], 1).view(torch.int8)
        return (both >> 4).view(-1)[:count]
    whole = torch.nn.functional.pad(packed, (0, -len(packed) % bits)).view(-1, bits)
    word = torch.zeros(len(whole), dtype=torch.int64, device=packed.device)
    for i in range(bits):
        word |= whole[:, i].long() << (8 * i)
    made = torch.empty(len(whole), _EIGHT, dtype=torch.int8, device=packed.device)
    for i in range(_EIGHT):
        # To the top of 64 bits and back, which repeats the sign.
        made[:, i] = word << (64 - bits * (i + 1)) >> (64 - bits)
    return made.view(-1)[:count]


def _check(bits: int) -> None:
    if not 1 <= bits <= 7:
        raise ValueError(f'integers of 1 to 7 bits are packed, not of {bits}')
