"""Clamping, extremes and sums, exact where ONNX Runtime's own operators are not.

See :mod:`.arithmetic` for Min, Max and Clip. ReduceSum of ONNX Runtime 1.31 adds
64-bit numbers as doubles (``findings/onnxruntime_int64_sum.sh``); its matrix product is
exact, and faster.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ...ir.graph import ProgramError
from .arithmetic import biased, unbiased
from .builder import Builder, Ref, holds, narrowest


def clamp(b: Builder, x: Ref, low: int | None, high: int | None) -> Ref:
    """``x`` kept within bounds; None is no bound."""
    low = min(x.low, x.high if high is None else high) if low is None else low
    high = max(x.high, low) if high is None else high
    bounds = min(max(x.low, low), high), min(max(x.high, low), high)
    limits = [low] * (low > x.low), [high] * (high < x.high)
    ends = [n for end in limits for n in end]
    if not ends:
        return x
    kind = 'Clip' if len(ends) == 2 else 'Max' if limits[0] else 'Min'
    dtype = narrowest(x.low, x.high, *ends)
    if dtype == 'int32':
        constants = [b.constant(n, dtype) for n in ends]
        return b.op(kind, b.cast(x, dtype), *constants, bounds=bounds)
    zero = 1 << 63 if min(x.low, *ends) < 0 else 0
    constants = [b.constant(n + zero, 'uint64') for n in ends]
    made = b.op(kind, biased(b, x, dtype, signed=zero > 0), *constants)
    return unbiased(b, made, zero, *bounds)


def extreme(b: Builder, kind: str, x: Ref, y: Ref) -> Ref:
    """The smaller or larger of two numbers; ``kind`` is Min or Max."""
    choose = min if kind == 'Min' else max
    bounds = choose(x.low, y.low), choose(x.high, y.high)
    dtype = narrowest(x.low, x.high, y.low, y.high)
    if dtype == 'int32':
        return b.op(kind, b.cast(x, dtype), b.cast(y, dtype), bounds=bounds)
    signed = min(x.low, y.low) < 0
    pair = (biased(b, n, dtype, signed) for n in (x, y))
    return unbiased(b, b.op(kind, *pair), signed << 63, *bounds)


def largest(b: Builder, x: Ref, axes: Sequence[int], keep: bool) -> Ref:
    """Largest number along axes.

    Raises:
        ProgramError: If the numbers have more than 32 bits.
    """
    if narrowest(x.low, x.high) != 'int32':
        raise ProgramError(
            'no ONNX operator finds the largest of 64-bit numbers exactly'
        )
    return b.moved('ReduceMax', b.cast(x, 'int32'), b.axes(axes), keepdims=int(keep))


def total(
    b: Builder,
    x: Ref,
    shape: Sequence[int],
    axes: Sequence[int],
    result: Sequence[int],
) -> Ref:
    """Sum along axes, as a product with ones.

    Args:
        b: The graph.
        x: Integers.
        shape: Their shape.
        axes: Where to sum.
        result: Shape of the sum.
    """
    rank = len(shape)
    axes = sorted(a % rank for a in axes)
    kept = [a for a in range(rank) if a not in axes]
    terms = torch.Size([shape[a] for a in axes]).numel()
    bounds = terms * min(x.low, 0), terms * max(x.high, 0)
    if kept + axes != list(range(rank)):
        x = b.moved('Transpose', x, perm=kept + axes)
    rows = [shape[a] for a in kept]
    if len(axes) > 1 or not kept:
        x = b.moved('Reshape', x, b.axes([*(rows or [1]), terms]))
    dtype = narrowest(*bounds)
    ones = b.given(torch.ones(terms, 1, dtype=getattr(torch, dtype)))
    inside = bounds if holds(dtype, *bounds) else None
    made = b.op('MatMul', b.cast(x, dtype), ones, bounds=inside)
    if [*rows, 1] != list(result):
        made = b.moved('Reshape', made, b.axes(result))
    return made
