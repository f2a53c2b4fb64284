"""Equalizers: factors by channel that move from activations into parameters."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .channel_map import ChannelMap
from .ranging import Ranges

#: Parameters of a region by name, float64.
Parameters = dict[str, Tensor]

#: Factors stay within 1/LIMIT .. LIMIT: a channel that calibration saw almost no
#: values of may well have some later.
LIMIT = 256.0


@dataclass
class Equalized:
    """A region while equalizers work on it, one after another.

    Attributes:
        parameters: Its parameters, edited in place.
        channels: Which channel arrives where.
        ranges: Of the channels of its sites; they follow the parameters.
        powers: By site, the powers of two by which it multiplies the channels of
            its first operand, see
            :func:`~iptq_mm.qtensor.channel_shifts.shift_channels`.
    """

    parameters: Parameters
    channels: ChannelMap
    ranges: Ranges
    powers: dict[str, list[int]] = field(default_factory=dict)

    def scale_made(self, site: str, by: Tensor, index: Tensor | None = None) -> None:
        """Multiply the channels that a site with parameters makes.

        Args:
            site: A linear, convolution or LayerNorm site.
            by: Factors, shape (n,).
            index: Which channels, shape (n,); None: all.
        """
        for name in self.channels.affine[site]:
            if name is not None:
                scale(self.parameters[name], 0, by, index)
        scale(self.ranges.values[site], 1, by, index)

    def scale_read(self, site: str, name: str, by: Tensor) -> None:
        """Multiply the columns with which a linear site reads channels.

        Args:
            site: The linear site.
            name: The site whose channels they are.
            by: Factor of each channel of ``name``, shape (C,).
        """
        columns, index = self.channels.columns(site, name)
        weight = self.parameters[self.channels.weights[site]]
        scale(weight, 1, by[index], columns)


class Equalizer(ABC):
    """Changes parameters such that the float region computes the same as before.

    Factors by channel, divided out of the parameters that make a value and
    multiplied into those that use it, give channels like ranges: one scale then
    serves them all. Subclasses register in ``EQUALIZERS``.

    Attributes:
        max_power: The largest power of two that it leaves to a site.
    """

    max_power: int = 0

    @abstractmethod
    def equalize(self, region: Equalized) -> int:
        """Edit parameters, and what changes with them, in place.

        Returns:
            How many sites got factors.
        """


def magnitudes(ranges: Tensor) -> Tensor:
    """Largest magnitude of each channel, shape (C,), of lows and highs (2, C)."""
    return ranges.abs().amax(0)


def outliers(amax: Tensor, beyond: float | None) -> Tensor:
    """Which channels get a factor of their own, bool, shape (C,).

    Args:
        amax: Largest magnitude of each channel, shape (C,).
        beyond: How many times the median an outlier is larger than; None: every channel
            counts as one.
    """
    if beyond is None:
        return torch.ones_like(amax, dtype=torch.bool)
    usable = amax.isfinite() & (amax > 0)
    if not usable.any():
        return usable
    return usable & (amax > beyond * amax[usable].median())


def alone(amax: Tensor, some: Tensor) -> Tensor:
    """Magnitudes that only some channels have for themselves.

    The others have the largest of theirs together. Factors made of them bring outliers
    down to the others, which keep their ratios.

    Args:
        amax: Largest magnitude of each channel, shape (C,).
        some: From :func:`outliers`.
    """
    rest = amax.isfinite() & (amax > 0) & ~some
    return torch.where(some, amax, amax[rest].max()) if rest.any() else amax


def far_apart(one: Tensor, other: Tensor, beyond: float | None) -> bool:
    """Whether the median of some channels is ``beyond`` times that of others, or more.

    Args:
        one: Largest magnitude of each channel.
        other: The same of other channels.
        beyond: None: they are not compared.
    """
    if beyond is None:
        return False
    low, high = sorted([float(one.median()), float(other.median())])
    return low > 0 and low * beyond <= high < math.inf


def check_beyond(beyond: float | None) -> None:
    """Raise ValueError unless outliers are larger than the median."""
    if beyond is not None and not beyond >= 1:
        raise ValueError(f'beyond is 1 or more times the median, not {beyond}')


def limited(factors: Tensor) -> Tensor:
    """Factors within the limit of their median, which those not finite get."""
    usable = factors.isfinite() & (factors > 0)
    if not usable.any():
        return torch.ones_like(factors)
    median = factors[usable].median()
    factors = torch.where(usable, factors, median)
    return factors.clamp(median / LIMIT, median * LIMIT)


def scale(values: Tensor, dim: int, by: Tensor, index: Tensor | None = None) -> None:
    """Multiply slices along a dimension in place; ``index`` names them, None: all."""
    factors = torch.ones(values.shape[dim], dtype=values.dtype)
    factors[slice(None) if index is None else index] = by.to(factors)
    shape = [1] * values.dim()
    shape[dim] = -1
    values.mul_(factors.view(shape).to(values.device))


class Uses:
    """Who uses which channel, and whether its factor may move.

    Args:
        channels: The map.
    """

    def __init__(self, channels: ChannelMap) -> None:
        self.map = channels
        self._readers: dict[int, set[tuple[str, str]]] = {}
        for kind in ('features', 'products', 'carried'):
            for site, numbers in getattr(channels, kind).items():
                self._add(kind, site, numbers.flatten().tolist())
        for site, names in channels.sums.items():
            for name in names:
                self._add('sums', site, channels.channels(name))

    def _add(self, kind: str, site: str, channels: Iterable[int]) -> None:
        for channel in channels:
            self._readers.setdefault(channel, set()).add((kind, site))

    def movable(self, site: str) -> bool:
        """Whether a site has parameters of its own that can take factors."""
        affine = self.map.affine.get(site)
        return affine is not None and all(
            self.map.uses[name] == {site} for name in affine if name is not None
        )

    def scalable(self, reader: str) -> bool:
        """Whether a site has a weight of its own, whose columns can take factors."""
        weight = self.map.weights.get(reader)
        return weight is not None and self.map.uses[weight] == {reader}

    def of(self, channels: Iterable[int]) -> dict[str, list[str]] | None:
        """Sites that use any of the channels, by how they do.

        Returns:
            None if anything else looks at one of the channels.
        """
        used: set[tuple[str, str]] = set()
        for channel in channels:
            if channel in self.map.elsewhere:
                return None
            used |= self._readers.get(channel, set())
        found: dict[str, list[str]] = {}
        for kind, site in sorted(used):
            found.setdefault(kind, []).append(site)
        return found

    def linear_owner(self, channels: Tensor) -> str | None:
        """The linear site that makes all of the channels and can take factors."""
        if not len(channels):
            return None
        low, high = int(channels.min()), int(channels.max())
        for site in self.map.affine:
            made = self.map.channels(site)
            if low in made and high in made:
                return site if '/linear:' in site and self.movable(site) else None
        return None
