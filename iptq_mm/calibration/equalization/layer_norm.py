"""Ranges by channel at the outputs of LayerNorm."""

from __future__ import annotations

import torch
from torch import Tensor

from ...registry import EQUALIZERS
from .base import (
    Equalized,
    Equalizer,
    Uses,
    alone,
    check_beyond,
    limited,
    magnitudes,
    outliers,
)


@EQUALIZERS.register_module('layer_norm')
class LayerNormEqualizer(Equalizer):
    """Moves ranges of channels into LayerNorm's affine part and the next weights.

    The scale reparametrization of RepQ-ViT (arXiv 2212.08254, eq. 11 to 14): with
    ``s`` and ``z`` the half width and the middle of a channel's range,

        gamma' = gamma / s,   beta' = (beta - z) / s,
        W' = W diag(s),       b' = b + W z.

    Only where linear layers alone use the output of the LayerNorm; the middle only
    where no zeros are padded to it and the layers have a bias.

    Args:
        strength: 1 moves the whole range. Less leaves weights an easier range: the
            factor is ``s**strength / w**(1 - strength)`` with ``w`` the largest
            weight of the channel, as in SmoothQuant (arXiv 2211.10438, eq. 4).
        shift: Whether to move the middle, too.
        beyond: Only channels whose factor is larger than so many times the median have
            one of their own, and only LayerNorms with such channels any; None: all.
            Weights of few bits have fewer uneven columns then.

    Raises:
        ValueError: If strength is not in (0, 1], or ``beyond`` is below 1.
    """

    def __init__(
        self, strength: float = 1.0, shift: bool = True, beyond: float | None = None
    ) -> None:
        check_beyond(beyond)
        if not 0 < strength <= 1:
            raise ValueError(f'strength is above 0 and at most 1, not {strength}')
        self.strength, self.shift, self.beyond = strength, shift, beyond

    def equalize(self, region: Equalized) -> int:
        """See the base class."""
        uses, done = Uses(region.channels), 0
        for site in region.channels.affine:
            if '/layer_norm:' not in site or site not in region.ranges.values:
                continue
            readers = _linear_readers(uses, site)
            if not readers:
                continue
            some = outliers(self._wanted(region, site, readers), self.beyond)
            if not some.any():
                continue
            if self.shift:
                _center(region, uses, site, readers)
            by = limited(alone(self._wanted(region, site, readers), some))
            region.scale_made(site, 1 / by)
            for reader in readers:
                region.scale_read(reader, site, by)
            done += 1
        return done

    def _wanted(self, region: Equalized, site: str, readers: list[str]) -> Tensor:
        factor = magnitudes(region.ranges.values[site]) ** self.strength
        if self.strength < 1:
            largest = torch.zeros_like(factor)
            for reader in readers:
                columns, index = region.channels.columns(reader, site)
                weight = region.parameters[region.channels.weights[reader]]
                amax = weight[:, columns].abs().amax(0).cpu()
                largest.scatter_reduce_(0, index, amax, 'amax')
            factor = factor / largest ** (1 - self.strength)
        return factor


def _linear_readers(uses: Uses, site: str) -> list[str]:
    """The linear sites that use a LayerNorm; none if anything else does."""
    found = uses.of(uses.map.channels(site)) or {}
    readers = found.get('features', [])
    if found.keys() != {'features'} or not all('/linear:' in r for r in readers):
        return []
    if not uses.movable(site) or not all(map(uses.scalable, readers)):
        return []
    return readers


def _center(region: Equalized, uses: Uses, site: str, readers: list[str]) -> None:
    """Move the middle of each channel's range into the biases of the readers.

    Nothing is done unless all of them have a bias of their own.
    """
    channels, parameters = region.channels, region.parameters
    if not all(map(uses.movable, readers)):
        return
    bias = channels.affine[site].bias
    biases = [channels.affine[r].bias for r in readers]
    if bias is None or None in biases or site in region.ranges.padded:
        return
    middle = region.ranges.values[site].mean(0)
    parameters[bias] -= middle.to(parameters[bias].device)
    region.ranges.values[site] -= middle
    for reader, name in zip(readers, biases, strict=True):
        columns, index = channels.columns(reader, site)
        weight = parameters[channels.weights[reader]]
        seen = channels.gains[reader] * middle[index].to(weight.device)
        parameters[name] += weight[:, columns] @ seen  # type: ignore[index]
