"""Equalizers: factors by channel that move from activations into parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from ...modes import ChannelMap, Ranges

#: Parameters of a region by name, float64; equalizers edit them.
Parameters = dict[str, Tensor]

#: Factors stay within 1/LIMIT .. LIMIT: a channel that calibration saw almost no
#: values of may well have some later.
LIMIT = 256.0


class Equalizer(ABC):
    """Changes parameters such that the float region computes the same as before.

    Factors by channel, divided out of the parameters that make a value and
    multiplied into those that use it, give channels like ranges: one scale then
    serves them all. Integers need nothing new for it. Subclasses register in
    ``EQUALIZERS``.
    """

    @abstractmethod
    def equalize(
        self, parameters: Parameters, channels: ChannelMap, ranges: Ranges
    ) -> int:
        """Edit parameters, and the ranges that change with them, in place.

        Args:
            parameters: Of the region.
            channels: Which channel arrives where.
            ranges: By site, lows and highs of its channels.

        Returns:
            How many sites got factors.
        """


def magnitudes(ranges: Tensor) -> Tensor:
    """Largest magnitude of each channel, shape (C,), of lows and highs (2, C)."""
    return ranges.abs().amax(0)


def limited(factors: Tensor) -> Tensor:
    """Factors within the limit of their median; 1 where they are not finite."""
    usable = factors.isfinite() & (factors > 0)
    if not usable.any():
        return torch.ones_like(factors)
    median = factors[usable].median()
    factors = torch.where(usable, factors, median)
    return factors.clamp(median / LIMIT, median * LIMIT)


class Uses:
    """Who uses which channel, and whether its factor may move.

    Args:
        channels: The map.
    """

    def __init__(self, channels: ChannelMap) -> None:
        self.map = channels
        self.readers: dict[int, set[tuple[str, str]]] = {}
        for kind in ('features', 'products', 'carried'):
            for site, numbers in getattr(channels, kind).items():
                for channel in numbers.flatten().tolist():
                    self.readers.setdefault(channel, set()).add((kind, site))

    def movable(self, site: str) -> bool:
        """Whether a site has parameters of its own that can take factors."""
        affine = self.map.affine.get(site)
        return affine is not None and all(
            self.map.uses[name] == 1 for name in affine if name is not None
        )

    def of(self, channel: int, kind: str) -> list[str] | None:
        """Sites that use a channel, all in one way; None if something else does."""
        if channel in self.map.elsewhere:
            return None
        readers = self.readers.get(channel, set())
        if any(k != kind for k, _ in readers):
            return None
        return sorted(site for _, site in readers)

    def owner(self, channel: int) -> str:
        """The site or parameter that makes a channel."""
        return next(s for s in self.map.first if channel in self.map.channels(s))


def scale_rows(
    parameters: Parameters, channels: ChannelMap, site: str, index: Tensor, by: Tensor
) -> None:
    """Multiply output channels of a linear site by factors."""
    weight, bias = channels.affine[site]
    parameters[weight][index] *= by.view(-1, *[1] * (parameters[weight].dim() - 1))
    if bias is not None:
        parameters[bias][index] *= by
