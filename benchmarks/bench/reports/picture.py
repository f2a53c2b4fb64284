"""A picture of how times grow with images and batches."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

from iptq_mm.utils.files import write_whole

#: Cases of an axis: what they are called there, and what was measured.
Series = list[tuple[str, dict[str, Any]]]


def grown(cases: list[dict[str, Any]]) -> dict[str, Series]:
    """The cases that differ in one thing, by what it is.

    Args:
        cases: Of one run, named ``NETWORK:HxW:bBATCH``.

    Returns:
        By ``'NETWORK, size'`` and ``'NETWORK, batch of HxW'``, in growing order; at
        least two cases each.
    """
    found: dict[str, list[tuple[int, str, dict[str, Any]]]] = {}
    for case in cases:
        network, size, batch = case['case'].rsplit(':', 2)
        height, width = map(int, size.split('x'))
        images = int(batch[1:])
        if images == 1:
            entry = (height * width, size, case)
            found.setdefault(f'{network}, size', []).append(entry)
        entry = (images, batch[1:], case)
        found.setdefault(f'{network}, batch of {size}', []).append(entry)
    ordered = {name: sorted(each, key=lambda e: e[0]) for name, each in found.items()}
    return {
        name: [(label, case) for _, label, case in each]
        for name, each in ordered.items()
        if len(each) > 1
    }


def draw(results: dict[str, Any], path: Path) -> None:
    """Write milliseconds of an image by size and by batch, one line a contender.

    Args:
        results: As ``run.py`` writes them.
        path: A ``.png`` or ``.svg`` file.

    Raises:
        ValueError: If no two cases differ in one thing.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import ScalarFormatter

    groups = grown(results['cases'])
    if not groups:
        raise ValueError('no two cases differ in the size of images or in the batch')
    figure = Figure(figsize=(4.2 * len(groups), 3.6), layout='constrained')
    axes = figure.subplots(1, len(groups), squeeze=False)[0]
    for axis, (name, series) in zip(axes, groups.items(), strict=True):
        _draw_lines(axis, series)
        axis.set_title(name)
        axis.set_ylabel('ms an image')
        axis.yaxis.set_major_formatter(ScalarFormatter())
        axis.yaxis.set_minor_formatter(ScalarFormatter())
        axis.tick_params(which='minor', labelsize='x-small')
    axes[0].legend()
    kind = path.suffix[1:]
    write_whole(path, lambda beside: figure.savefig(beside, dpi=110, format=kind))


def _draw_lines(axis: Any, series: Series) -> None:
    names = dict.fromkeys(n for _, case in series for n in case['contenders'])
    for name in names:
        points = [
            (place, 1000 * median(entry['seconds']) / _images(case))
            for place, (_, case) in enumerate(series)
            if 'seconds' in (entry := case['contenders'].get(name, {}))
        ]
        if points:
            axis.plot(*zip(*points, strict=True), marker='o', label=name)
    axis.set_yscale('log')
    axis.set_xticks(range(len(series)), [label for label, _ in series])
    axis.grid(alpha=0.3, which='both')


def _images(case: dict[str, Any]) -> int:
    return int(case['case'].rsplit(':b', 1)[1])
