"""Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[Any]],
    align: str = '',
    padded: bool = False,
) -> str:
    r"""A Markdown table, without a newline at its end.

    >>> print(table(['name', 'count'], [['a|b', 7]], align='lr'))
    | name | count |
    | --- | ---: |
    | a\|b | 7 |

    Args:
        header: Titles of the columns.
        rows: Cells of each row; cells that are missing at its end stay empty.
        align: ``l`` or ``r`` for each column; ``''``: all to the left.
        padded: Whether cells are padded to equal widths, for readers of the plain text.
            The last column is not, unless it is aligned to the right: its cells may be
            long, and nothing follows them.
    """
    align = align or 'l' * len(header)
    lines = [[_cell(x) for x in row] for row in (header, *rows)]
    lines = [line + [''] * (len(header) - len(line)) for line in lines]
    rule = ['---:' if side == 'r' else '---' for side in align]
    if padded:
        # A rule of one character has no room for a dash beside its colon.
        widths = [max(2, *map(len, column)) for column in zip(*lines, strict=True)]
        if align[-1] == 'l':
            widths[-1] = len(lines[0][-1])
        rule = [
            '-' * (width - 1) + (':' if side == 'r' else '-')
            for width, side in zip(widths, align, strict=True)
        ]
        lines = [
            [
                cell.rjust(width) if side == 'r' else cell.ljust(width)
                for cell, width, side in zip(line, widths, align, strict=True)
            ]
            for line in lines
        ]
    return '\n'.join(f'| {" | ".join(line)} |' for line in (lines[0], rule, *lines[1:]))


def _cell(x: Any) -> str:
    return str(x).replace('|', '\\|').replace('\n', ' ')
