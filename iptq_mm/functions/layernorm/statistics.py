"""Row statistics of the LayerNorms: mean and sum of squares."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ..base import FunctionSite


class Statistics(NamedTuple):
    """Bounds of ``y`` and ``v`` (see :mod:`.rows`), for which constants are made.

    Attributes:
        variance: Largest ``v``.
        epsilon: LayerNorm's epsilon in the unit of ``v``, a real number.
        peak: Largest ``abs(y) / sqrt(v)``.
        gain: Factor from ``y / sqrt(v)`` to the normalized value.
    """

    variance: float
    epsilon: float
    peak: float
    gain: float


def gamma_and_beta(site: FunctionSite) -> tuple[Tensor, Tensor]:
    """Gamma and beta as float64, shape (C,).

    Raises:
        ValueError: If gamma is missing, or sums over ``C`` channels may exceed 31 bits.
    """
    if site.gamma is None:
        raise ValueError('a LayerNorm needs gamma: ones where it has no weight')
    gamma = site.gamma.detach().double().cpu().flatten()
    if gamma.numel() * max(site.x.bound, site.x.qmax - site.x.qmin) >= 2**30:
        raise ValueError(
            f'{gamma.numel()} channels of {site.x.bits} bits are too many for LayerNorm'
        )
    if site.beta is None:
        return gamma, torch.zeros_like(gamma)
    return gamma, site.beta.detach().double().cpu().flatten()


def moments(q: Tensor) -> tuple[Tensor, Tensor]:
    """The sum of each row, and C squared times its variance.

    The latter is ``C*sum(q*q) - sum(q)**2``.

    Returns:
        Two int64 tensors, shape (..., 1); exact.
    """
    q = q.long()
    total = q.sum(-1, keepdim=True)
    v = (q * q).sum(-1, keepdim=True)
    v *= q.shape[-1]
    v -= total * total
    return total, v


def rounded_mean(q: Tensor) -> Tensor:
    """The mean of each row, rounded to an integer; int64, shape (..., 1)."""
    size = q.shape[-1]
    return (q.sum(-1, keepdim=True) + size // 2) // size


def exact_statistics(site: FunctionSite) -> Statistics:
    """The bounds for ``y = C*q - sum(q)`` and the ``v`` of :func:`moments`."""
    size = gamma_and_beta(site)[0].numel()
    return Statistics(
        # Popoviciu: the variance is at most a quarter of the span squared.
        variance=(size * float(site.x.qmax - site.x.qmin)) ** 2 / 4,
        epsilon=size * size * site.eps / site.x.scale / site.x.scale,
        peak=math.sqrt(size),
        gain=1.0,
    )
