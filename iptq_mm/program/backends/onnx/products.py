"""Products of integers by MatMulInteger and ConvInteger.

Both operands are unsigned bytes with a zero point, whatever the program has: on CPUs
without VNNI (AVX-512 VNNI or AVX-VNNI) ONNX Runtime adds products of unsigned and
signed bytes in saturating 16 bits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...ir.graph import ProgramError
from .builder import Builder, Known, Ref


class _Bytes(NamedTuple):
    """A byte of each integer: ``sum((x - zero) * factor)`` over them is the integer."""

    x: Ref
    zero: int
    factor: int


def product(
    b: Builder,
    kind: str,
    left: Known,
    right: Known,
    terms: int,
    bound: int,
    **attributes: Any,
) -> Ref:
    """The exact product of two tensors: int32 where both have 8 bits, else int64.

    Args:
        b: The graph.
        kind: MatMulInteger or ConvInteger.
        left: First factor.
        right: Second factor.
        terms: Products that each sum adds up.
        bound: No result exceeds it in magnitude.
        **attributes: Of the operator.

    Raises:
        ProgramError: If a sum of so many products of bytes may exceed 32 bits.
    """
    if terms * 255 * 255 >= 2**31:
        raise ProgramError(f'{kind}: {terms} products of bytes exceed 32 bits')
    pairs = [(p, q) for p in _bytes(b, left) for q in _bytes(b, right)]
    parts = []
    for p, q in pairs:
        zeros = (b.constant(byte.zero, 'uint8') for byte in (p, q))
        part = b.op(kind, p.x, q.x, *zeros, dtype='int32', **attributes)
        parts.append((part, p.factor * q.factor))
    (made, _), *others = parts
    for part, factor in others:
        high = b.op('Mul', b.cast(part, 'int64'), b.given(factor, 'int64'))
        made = b.op('Add', b.cast(made, 'int64'), high)
    return made._replace(low=-bound, high=bound)


def _bytes(b: Builder, x: Known) -> list[_Bytes]:
    """The bytes of an operand, few where its bounds permit."""
    if isinstance(x, Tensor):
        low, high = int(x.min()), int(x.max())
        if max(-low - 1, high) <= 127:  # as the operators want it, once and for all
            return [_Bytes(b.given((x.long() + 128).to(torch.uint8)), 128, 1)]
    x = b.given(x)
    low, high = min(x.low, 0), max(x.high, 0)
    if x.dtype == 'int8':
        return [_Bytes(_unsigned(b, b.wrap(x, 'uint8')), 128, 1)]
    if high - low <= 255:
        if low:
            x = b.op('Sub', b.cast(x, 'int32'), b.constant(low, 'int32'))
        return [_Bytes(b.wrap(x, 'uint8'), -low, 1)]
    count = (max(high, -low - 1).bit_length() + (low < 0) + 7) // 8
    if count > 4:
        raise ProgramError(f'a factor in {low}..{high} exceeds 32 bits')
    return [_byte(b, x, i, signed=low < 0 and i == count - 1) for i in range(count)]


def _byte(b: Builder, x: Ref, position: int, signed: bool) -> _Bytes:
    """One byte; the highest one of signed numbers has a sign."""
    if position:
        by = b.constant(8 * position, 'uint32')
        x = b.op('BitShift', b.wrap(x, 'uint32'), by, direction='RIGHT')
    byte = b.wrap(x, 'uint8')
    if signed:
        return _Bytes(_unsigned(b, byte), 128, 256**position)
    return _Bytes(byte, 0, 256**position)


def _unsigned(b: Builder, byte: Ref) -> Ref:
    """A signed number's bits, 128 added."""
    return b.op('BitwiseXor', byte, b.constant(128, 'uint8'))
