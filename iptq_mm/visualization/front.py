"""Pareto fronts of searches."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from ..utils.files import write_whole

#: A cost, and the SQNR in dB that it buys.
PricedQuality = tuple[float, float]


def plot_front(
    fronts: Mapping[str, Sequence[PricedQuality]],
    path: str | os.PathLike,
    label: str,
    names: Mapping[PricedQuality, str] | None = None,
) -> None:
    """Plot predicted SQNR over a cost.

    Args:
        fronts: By name, the points; they are joined in the order of their costs.
        path: PNG file to write.
        label: What the cost is, with its unit.
        names: Names of single points.
    """
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(7, 4.5), constrained_layout=True)
    for name, points in fronts.items():
        costs, qualities = zip(*sorted(points), strict=True) if points else ((), ())
        axis.plot(costs, qualities, '.-', linewidth=0.8, label=name)
    for (cost, quality), name in (names or {}).items():
        axis.annotate(name, (cost, quality), fontsize=7)
    axis.set_xlabel(label)
    axis.set_ylabel('predicted SQNR of the outputs, dB')
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    write_whole(path, lambda beside: figure.savefig(beside, dpi=90, format='png'))
    pyplot.close(figure)
