"""The distribution of a value, in floats and in integers."""

from __future__ import annotations

import os

import numpy as np

from ..utils.files import write_whole

_BINS = 200


def plot_histogram(
    floats: np.ndarray, integers: np.ndarray, path: str | os.PathLike, title: str
) -> None:
    """Draw two histograms over each other, counts on a logarithmic axis.

    Args:
        floats: Float values, shape (n,).
        integers: Real values of the integers in their place, shape (n,).
        path: PNG file to write.
        title: Title.
    """
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    both = np.concatenate([floats, integers])
    edges = np.linspace(both.min(), both.max() or 1.0, _BINS + 1).tolist()
    figure, axis = pyplot.subplots(figsize=(7, 3.5), constrained_layout=True)
    axis.hist(floats, edges, histtype='stepfilled', alpha=0.4, label='float')
    axis.hist(integers, edges, histtype='step', linewidth=0.9, label='integer')
    axis.set_yscale('log')
    axis.set_title(title, loc='left', fontsize=10)
    axis.set_xlabel('value')
    axis.set_ylabel('count')
    axis.legend(fontsize=8)
    write_whole(path, lambda beside: figure.savefig(beside, dpi=90, format='png'))
    pyplot.close(figure)
