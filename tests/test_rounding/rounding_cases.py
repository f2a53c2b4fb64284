"""Layers with correlated inputs, for the tests of roundings."""

from typing import NamedTuple

import torch
from torch import Tensor

from iptq_mm.calibration.observers import MinMaxObserver
from iptq_mm.moments import Moments


class Layer(NamedTuple):
    """A weight, its min-max scales, and the inputs it meets."""

    weight: Tensor
    scale: Tensor
    inputs: Moments
    x: Tensor  # real inputs, shape (samples, K)


def layer(seed=0, rows=5, features=12, bits=4, samples=200, shift=20, dead=()):
    """Inputs are mixtures of fewer sources, off centre, some always 0."""
    generator = torch.Generator().manual_seed(seed)
    sources = torch.randn(samples, features // 2 + 1, generator=generator)
    mixed = sources @ torch.randn(features // 2 + 1, features, generator=generator)
    mixed += 0.3 * torch.randn(samples, features, generator=generator)
    q = (mixed * 9 + shift).round().clamp(-128, 127).to(torch.int8)
    q[:, list(dead)] = 0
    inputs = Moments(features, 0.05)
    inputs.update(q)
    weight = torch.randn(rows, features, generator=generator)
    scale = MinMaxObserver().scales(weight, bits)
    return Layer(weight, scale, inputs, q.double() * 0.05)


def output_error(case, rounded, centred=False):
    """Mean square of what the output is off, by row, from the inputs themselves."""
    difference = case.weight.double() - rounded.codes * rounded.scale[:, None]
    off = case.x @ difference.t()
    if centred:
        off = off - off.mean(0)
    return off.square().mean(0)
