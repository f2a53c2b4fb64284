"""Memory of a native program: all buffers in one arena."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .....native.commands import SLACK
from .steps import Buffer, ReferenceStep, Step, used_buffers

#: Bytes: a cache line, and the widest vector.
ALIGNMENT = 64


def plan_memory(
    steps: Sequence[Step | ReferenceStep], boundary: Iterable[Buffer] = ()
) -> tuple[dict[Buffer, int], int]:
    """Offsets at which no two buffers overlap that are alive at the same time.

    Greedy: the largest buffer first, each at the lowest offset that is free
    throughout its life.

    Args:
        steps: In the order of execution, finished.
        boundary: Buffers of inputs and outputs, whether a step uses them or not.

    Returns:
        Offset of each buffer, and the bytes of all together.
    """
    first, last = _lives(steps)
    offsets: dict[Buffer, int] = {}
    total = 0
    for buffer in sorted(first, key=lambda b: (-b.size, first[b])):
        taken = sorted(
            (offsets[b], offsets[b] + padded(b.size))
            for b in offsets
            if first[b] <= last[buffer] and first[buffer] <= last[b]
        )
        at = 0
        for start, end in taken:
            if at + padded(buffer.size) <= start:
                break
            at = max(at, end)
        offsets[buffer] = at
        total = max(total, at + padded(buffer.size))
    for buffer in boundary:
        if buffer not in offsets:
            offsets[buffer] = total
            total += padded(buffer.size)
    return offsets, total


def _lives(
    steps: Sequence[Step | ReferenceStep],
) -> tuple[dict[Buffer, int], dict[Buffer, int]]:
    """The first and the last step that uses each buffer."""
    first: dict[Buffer, int] = {}
    last: dict[Buffer, int] = {}
    for position, step in enumerate(steps):
        for buffer in used_buffers(step):
            first.setdefault(buffer, position)
            last[buffer] = position
    for buffer in first:
        if buffer.pinned:
            first[buffer], last[buffer] = -1, len(steps)
    return first, last


def padded(size: int) -> int:
    """Bytes of the arena for a buffer: aligned, with what kernels may read beyond."""
    return -(-(size + SLACK) // ALIGNMENT) * ALIGNMENT
