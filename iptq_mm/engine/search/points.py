"""What a search has found: configs, and the front as CSV, Markdown and a picture."""

from __future__ import annotations

import csv
import io
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pprint import pformat
from typing import Any

from ...utils.files import atomic_write
from ...utils.markdown import table
from ...visualization import plot_front
from .choices import Choice, Unit, total

#: The figures of a point.
FIGURES = ('loss', 'bytes', 'ms', 'bit_operations')


@dataclass
class Point:
    """A solution of a search.

    Attributes:
        name: Of its config.
        budgets: What it keeps.
        chosen: One choice for each unit.
    """

    name: str
    budgets: dict[str, float]
    chosen: list[Choice]

    @property
    def figures(self) -> dict[str, float]:
        """Its sums by name, see :data:`FIGURES`."""
        return {name: total(self.chosen, name) for name in FIGURES}

    @property
    def predicted_db(self) -> float:
        """The SQNR of the outputs that the loss means."""
        loss = total(self.chosen, 'loss')
        return -10 * math.log10(loss) if loss > 0 else math.inf


def config_text(
    point: Point,
    units: Sequence[Unit],
    base: str | os.PathLike,
    folder: str | os.PathLike,
    before: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The config of a point: its base with overrides.

    Args:
        point: The point.
        units: Whose choices it has.
        base: Path of the config that was searched.
        folder: Where the config will lie.
        before: Overrides that the base has already.
    """
    overrides = [dict(one) for one in before]
    for unit, choice in zip(units, point.chosen, strict=True):
        overrides += [dict(where=site, **choice.override) for site in unit.sites]
    lines = ''.join(
        f'    {pformat(one, width=200, sort_dicts=False)},\n' for one in overrides
    )
    budgets = ', '.join(f'{n}={b:.6g}' for n, b in point.budgets.items())
    figures = ', '.join(f'{n}={x:.6g}' for n, x in point.figures.items())
    path = Path(os.path.relpath(base, folder)).as_posix()
    return (
        f'# Bits chosen by tools/search_bits.py with the budget {budgets}.\n'
        f'# Predicted: {figures}.\n'
        f"_base_ = ['{path}']\n\n"
        f'quantization = dict(overrides=[\n{lines}])\n'
    )


def write_front(
    points: Sequence[Point],
    uniforms: Sequence[Point],
    folder: Path,
    base: str | os.PathLike,
) -> Path:
    """Write the points as ``front.csv``, ``front.md`` and ``front.png``.

    ``compare.py`` is written, too: a list of settings, with which tools/compare.py
    measures all of them.

    Args:
        points: The points.
        uniforms: Models of the same bits everywhere, for comparison.
        folder: Where to write.
        base: Path of the config that was searched.

    Returns:
        Path of ``front.md``.
    """
    every = [*uniforms, *points]
    stream = io.StringIO()
    header = ['name', *(f'budget_{n}' for n in FIGURES[:3]), *FIGURES, 'predicted_db']
    writer = csv.writer(stream, lineterminator='\n')
    writer.writerow(header)
    for point in every:
        budgets = [point.budgets.get(n, '') for n in FIGURES[:3]]
        writer.writerow(
            [point.name, *budgets, *point.figures.values(), point.predicted_db]
        )
    atomic_write(folder / 'front.csv', stream.getvalue())
    text = table(
        ['', 'MB', 'ms', 'G bit operations', 'predicted dB', 'bits of weights'],
        [_row(point) for point in every],
        'lrrrrl',
    )
    atomic_write(folder / 'front.md', f'# Front of {Path(base).stem}\n\n{text}\n')
    atomic_write(folder / 'compare.py', _settings(points, base, folder))
    for cost, label in (('bytes', 'bytes of weights'), ('ms', 'milliseconds')):
        values = [point.figures[cost] for point in every]
        if all(map(math.isfinite, values)):
            name = 'front.png' if cost == 'bytes' else 'front_ms.png'
            plot_front(
                {
                    'searched': [(p.figures[cost], p.predicted_db) for p in points],
                    'uniform': [(p.figures[cost], p.predicted_db) for p in uniforms],
                },
                folder / name,
                label,
                {(p.figures[cost], p.predicted_db): p.name for p in uniforms},
            )
    return folder / 'front.md'


def _row(point: Point) -> list[str]:
    bits = Counter(_form(c) for c in point.chosen if c.weight is not None)
    figures = point.figures
    return [
        point.name,
        f'{figures["bytes"] / 1e6:.3f}',
        f'{figures["ms"]:.3f}',
        f'{figures["bit_operations"] / 1e9:.2f}',
        f'{point.predicted_db:.1f}',
        ', '.join(f'{n} of {width}' for width, n in sorted(bits.items())),
    ]


def _form(choice: Choice) -> str:
    """What a table says of the weight of a choice."""
    group = '' if choice.own else f' (groups of {choice.group})'
    return f'{choice.weight}{group}'


def _settings(points: Sequence[Point], base: str | os.PathLike, folder: Path) -> str:
    rows = ''.join(
        f'    dict(name={p.name!r}, config={str(folder / f"{p.name}.py")!r}),\n'
        for p in points
    )
    return (
        '# The points of a search, for tools/compare.py.\n'
        f'title = {f"Front of {Path(base).stem}"!r}\n'
        f'settings = [\n{rows}]\n'
    )
