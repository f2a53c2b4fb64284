"""Which function each layer got, and how good the others were."""

from __future__ import annotations

import os
from typing import Any

from ..operations import OPERATIONS, NonLinear
from ..record import RegionRecord
from ..utils.files import write_whole

#: Titles of kinds of functions; the others have their names.
TITLES = {
    'gelu': 'GELU',
    'softmax': 'Softmax',
    'layer_norm': 'LayerNorm',
    'unary': 'others',
}


def plot_assignment(
    assignment: dict[str, str],
    records: dict[str, RegionRecord],
    path: str | os.PathLike,
) -> None:
    """Plot the SQNR of every candidate by layer; a ring marks the chosen one.

    Args:
        assignment: Chosen candidate by ``region:site``.
        records: By region.
        path: PNG file to write.
    """
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    kinds = {
        kind: _series(kind, assignment, records)
        for kind, operation in OPERATIONS.items()
        if isinstance(operation, NonLinear)
    }
    figure, axes = pyplot.subplots(
        len(kinds), 1, figsize=(10, 9), constrained_layout=True
    )
    for axis, (kind, sites) in zip(axes, kinds.items(), strict=True):
        names = sorted({n for _, _, errors in sites for n in errors})
        for name in names:
            x = [i for i, (_, _, errors) in enumerate(sites) if name in errors]
            y = [sites[i][2][name] for i in x]
            (line,) = axis.plot(x, y, '.-', linewidth=0.6, label=name)
            chosen = [i for i in x if sites[i][1] == name]
            axis.plot(
                chosen,
                [sites[i][2][name] for i in chosen],
                'o',
                markersize=9,
                fillstyle='none',
                color=line.get_color(),
            )
        axis.set_title(
            f'{TITLES.get(kind, kind)} (ring: chosen)', loc='left', fontsize=10
        )
        axis.set_ylabel('SQNR, dB')
        axis.set_xticks(range(len(sites)))
        labels = [site for site, _, _ in sites]
        axis.set_xticklabels(labels, rotation=90, fontsize=5)
        axis.grid(alpha=0.3)
        if names:
            axis.legend(fontsize=7, ncol=3)
    write_whole(path, lambda beside: figure.savefig(beside, dpi=110, format='png'))
    pyplot.close(figure)


def _series(
    kind: str, assignment: dict[str, str], records: dict[str, RegionRecord]
) -> list[tuple[str, str, dict[str, Any]]]:
    """Site, chosen candidate and SQNR by candidate, in order of execution."""
    series = []
    for region, record in records.items():
        for site, operation in record.operations.items():
            if operation == kind:
                errors = record.candidates[site]
                series.append(
                    (
                        site.split('/')[0],
                        assignment[f'{region}:{site}'],
                        {name: e.sqnr_db for name, e in errors.items()},
                    )
                )
    return series
