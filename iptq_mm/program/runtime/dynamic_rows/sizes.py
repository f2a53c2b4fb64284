"""Any number of rows by programs of a few sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ...backends.base import Runner
from ...ir.graph import Program

#: Rows of the largest program: what one has to keep at a time grows with them.
MOST_ROWS = 256


def size_for(rows: int, steps: int) -> int:
    """The smallest size that holds so many rows.

    Sizes are powers of two and, between one and the next, ``steps - 1`` more.

    Args:
        rows: At least 1.
        steps: A power of two.
    """
    grain = max(1, (1 << (rows - 1).bit_length()) // (2 * steps))
    return -(-rows // grain) * grain


def parts(rows: int, steps: int) -> Iterator[tuple[int, int, int]]:
    """How rows are shared out among programs: start, rows and size of each."""
    for start in range(0, rows, MOST_ROWS):
        count = min(MOST_ROWS, rows - start)
        yield start, count, size_for(count, steps)


def run_rows(
    program: Program,
    inputs: Sequence[Tensor],
    runner: Callable[[int], Runner],
    steps: int,
) -> list[Tensor]:
    """Run a program on any number of rows.

    Args:
        program: For some other number, see :func:`~.row_wise.row_count`.
        inputs: Integers, with as many rows as there are.
        runner: Gives the program for a number of rows, ready to run.
        steps: Sizes from one power of two to the next.

    Returns:
        The outputs, with the rows of the inputs.
    """
    found = []
    for start, count, size in parts(len(inputs[0]), steps):
        given = [_filled(x[start : start + count], size).contiguous() for x in inputs]
        found.append([y[:count] for y in runner(size)(given)])
    if not found:  # no rows
        values = [program.values[port.value] for port in program.outputs]
        device = inputs[0].device
        return [
            torch.empty(0, *v.shape[1:], dtype=v.dtype, device=device) for v in values
        ]
    return [ys[0] if len(ys) == 1 else torch.cat(ys) for ys in zip(*found, strict=True)]


def _filled(x: Tensor, rows: int) -> Tensor:
    """Rows of zeros appended."""
    missing = rows - len(x)
    return F.pad(x, [0, 0] * (x.dim() - 1) + [0, missing]) if missing else x


def peak_bytes(program: Program) -> int:
    """Bytes of the values that are needed at a time, at most."""
    sizes = [v.dtype.itemsize * torch.Size(v.shape).numel() for v in program.values]
    live = peak = sum(sizes[port.value] for port in program.inputs)
    for node, done in zip(program.nodes, program.last_uses(), strict=True):
        live += sizes[node.output]
        peak = max(peak, live)
        live -= sum(sizes[value] for value in done)
    return peak
