"""Figures of several models by layer."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..utils.files import write_whole
from .assignment import TITLES

#: Share of the place of a layer that its bars take.
_WIDTH = 0.8


def plot_by_layer(
    figures: Mapping[str, Mapping[str, float]],
    kinds: Mapping[str, str],
    path: str | os.PathLike,
    label: str,
    bars: bool = False,
) -> None:
    """Plot one figure of several models by layer, a panel for each kind of layer.

    Args:
        figures: By model and site; a model need not have all sites.
        kinds: Kind of each site, in the order of execution.
        path: PNG file to write.
        label: What the figure is, with its unit.
        bars: Whether to draw bars side by side instead of lines.
    """
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    drawn = list(dict.fromkeys(kinds.values()))
    figure, axes = pyplot.subplots(
        len(drawn),
        1,
        figsize=(10, 3 * len(drawn)),
        constrained_layout=True,
        squeeze=False,
    )
    for axis, kind in zip(axes[:, 0], drawn, strict=True):
        sites = [site for site, its in kinds.items() if its == kind]
        for i, (model, values) in enumerate(figures.items()):
            x = [n for n, site in enumerate(sites) if site in values]
            y = [values[sites[n]] for n in x]
            if bars:
                width = _WIDTH / len(figures)
                left = (i + 0.5) * width - _WIDTH / 2
                axis.bar([n + left for n in x], y, width, label=model)
            else:
                axis.plot(x, y, '.-', linewidth=0.8, label=model)
        axis.set_title(TITLES.get(kind, kind), loc='left', fontsize=10)
        axis.set_ylabel(label)
        axis.set_xticks(range(len(sites)))
        names = [site.partition(':')[2].split('/')[0] for site in sites]
        axis.set_xticklabels(names, rotation=90, fontsize=5)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7)
    write_whole(path, lambda beside: figure.savefig(beside, dpi=90, format='png'))
    pyplot.close(figure)
