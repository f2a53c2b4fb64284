"""Draws the pictures of docs/start/concepts.md with this project's own arithmetic.

python docs/images/drawings.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from iptq_mm.functions import FunctionSite
from iptq_mm.intmath import QParams, dyadic
from iptq_mm.registry import FUNCTIONS

matplotlib.use('svg')
from matplotlib import pyplot as plt

IMAGES = Path(__file__).parent
BLUE, ORANGE, GREY = '#1f6fb4', '#c4540a', '#737373'
#: Integer GELUs of the picture, and bits of their inputs.
GELUS = {'table_gelu': 8, 'poly_gelu': 16, 'i_gelu': 16, 'shift_gelu': 16}


def save(figure: plt.Figure, name: str) -> None:
    """Write a picture, the same bytes every time."""
    matplotlib.rcParams['svg.hashsalt'] = name
    path = IMAGES / f'{name}.svg'
    figure.savefig(
        path, bbox_inches='tight', facecolor='white', metadata={'Date': None}
    )
    plt.close(figure)


def scale() -> None:
    """The integers of a range, on the line of real numbers."""
    a = QParams.asymmetric(-0.5, 2.0, bits=4)
    q = torch.arange(a.qmin, a.qmax + 1)
    real = a.dequantize(q)
    figure, axes = plt.subplots(figsize=(8, 1.6))
    axes.axhline(0, color=GREY, linewidth=1)
    axes.plot(real, torch.zeros_like(real), 'o', color=BLUE)
    for x, number in zip(real.tolist(), q.tolist(), strict=True):
        axes.annotate(str(number), (x, 0.3), ha='center', color=BLUE)
        axes.annotate(f'{x:.2f}', (x, -0.55), ha='center', fontsize=7, color=GREY)
    axes.annotate('q', (-0.62, 0.3), ha='center', color=BLUE)
    axes.annotate('scale * q', (-0.68, -0.55), ha='center', fontsize=7, color=GREY)
    axes.set(ylim=(-0.9, 0.8), xlim=(-0.8, 2.1))
    axes.axis('off')
    save(figure, 'scale')


def requantization() -> None:
    """A linear layer's sum on its way to the next layer."""
    multiplier, shift = dyadic(0.3)
    total = 300
    up = total * multiplier
    steps = [
        ('sum of products', f'{total}'),
        ('times the multiplier', f'{up}'),
        (f'plus 2**{shift - 1}', f'{up + (1 << shift - 1)}'),
        (f'shifted by {shift}', f'{up + (1 << shift - 1) >> shift}'),
        ('clipped to 8 bits', f'{min(127, up + (1 << shift - 1) >> shift)}'),
    ]
    figure, axes = plt.subplots(figsize=(11, 1.4))
    for place, (title, number) in enumerate(steps):
        box = dict(boxstyle='round,pad=0.5', facecolor='white', edgecolor=BLUE)
        axes.annotate(
            number, (place, 0), ha='center', va='center', fontsize=8, bbox=box
        )
        axes.annotate(title, (place, 0.7), ha='center', color=GREY, fontsize=9)
        if place:
            arrow = dict(arrowstyle='->', color=GREY)
            axes.annotate('', (place - 0.42, 0), (place - 0.62, 0), arrowprops=arrow)
    axes.set(xlim=(-0.5, len(steps) - 0.5), ylim=(-0.6, 1))
    axes.axis('off')
    save(figure, 'requantization')


def gelu() -> None:
    """GELU in floats and its integer forms, with coarse outputs to see the steps."""
    x = torch.linspace(-4, 1, 601, dtype=torch.float64)
    out = QParams.asymmetric(-0.2, 2.0, bits=6)
    figure, rows = plt.subplots(1, len(GELUS), figsize=(11, 2.6), sharey=True)
    for axes, (name, bits) in zip(rows, GELUS.items(), strict=True):
        function = FUNCTIONS.build(dict(type=name))
        site = FunctionSite(
            x=QParams.symmetric(4.0, bits), out=out, samples=x, weights=torch.ones(601)
        )
        q = site.x.quantize(x)
        made = function.integer(q, function.prepare(site)).clamp(out.qmin, out.qmax)
        axes.plot(x, function.reference(x), color=GREY, label='float')
        axes.plot(x, made * out.scale, color=ORANGE, linewidth=1, label=name)
        axes.set_title(name, fontsize=10)
        axes.set(ylim=(-0.2, 0.15))
        axes.grid(alpha=0.3)
    save(figure, 'gelu')


if __name__ == '__main__':
    for draw in (scale, requantization, gelu):
        draw()
