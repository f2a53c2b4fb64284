"""Any number of rows, by programs for a few numbers of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ...backends.base import Executable
from ...backends.boundary import TORCH, Conversions
from ...ir.graph import Program

#: Rows of the largest program. The memory that a program needs grows with them.
MOST_ROWS = 256


def size_for(rows: int, steps: int) -> int:
    """The smallest size that holds so many rows.

    Sizes are the powers of two, and ``steps - 1`` more between each and the next::

        >>> [size_for(rows, steps=4) for rows in (1, 5, 9, 17, 33)]
        [1, 5, 10, 20, 40]

    Args:
        rows: At least 1.
        steps: A power of two.
    """
    grain = max(1, (1 << (rows - 1).bit_length()) // (2 * steps))
    return -(-rows // grain) * grain


def parts(rows: int, steps: int) -> Iterator[tuple[int, int, int]]:
    """How rows are divided among programs: start, rows and size of each part."""
    for start in range(0, rows, MOST_ROWS):
        count = min(MOST_ROWS, rows - start)
        yield start, count, size_for(count, steps)


class AnyRows(Executable):
    """A row-wise program that runs on any number of rows.

    Args:
        program: The program, for some number of rows; see :func:`~.proof.row_count`.
        prepared: Gives the program for a number of rows, ready to run.
        steps: Sizes from one power of two to the next.
        conversions: See the base class.
    """

    def __init__(
        self,
        program: Program,
        prepared: Callable[[int], Executable],
        steps: int,
        conversions: Conversions = TORCH,
    ) -> None:
        super().__init__(program, conversions)
        self._prepared, self._steps = prepared, steps

    def run(self, integers: Sequence[Tensor]) -> list[Tensor]:
        """See the base class; the outputs have the rows of the inputs."""
        found = []
        for start, count, size in parts(len(integers[0]), self._steps):
            part = [_filled(x[start : start + count], size) for x in integers]
            outputs = self._prepared(size).run([x.contiguous() for x in part])
            found.append([y[:count] for y in outputs])
        if not found:
            return self._no_rows(integers[0].device)
        return [
            ys[0] if len(ys) == 1 else torch.cat(ys) for ys in zip(*found, strict=True)
        ]

    def _no_rows(self, device: torch.device) -> list[Tensor]:
        """The outputs if the inputs have no rows."""
        values = [self.program.values[port.value] for port in self.program.outputs]
        return [
            torch.empty(0, *v.shape[1:], dtype=v.dtype, device=device) for v in values
        ]


def _filled(x: Tensor, rows: int) -> Tensor:
    """``x`` with rows of zeros appended."""
    missing = rows - len(x)
    return F.pad(x, [0, 0] * (x.dim() - 1) + [0, missing]) if missing else x
