"""Ranges by channel at the outputs of LayerNorm."""

from __future__ import annotations

import torch
from torch import Tensor

from ...modes import ChannelMap, Ranges
from ...registry import EQUALIZERS
from .base import Equalizer, Parameters, Uses, limited, magnitudes


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

    Raises:
        ValueError: If strength is not in (0, 1].
    """

    def __init__(self, strength: float = 1.0, shift: bool = True) -> None:
        if not 0 < strength <= 1:
            raise ValueError(f'strength is above 0 and at most 1, not {strength}')
        self.strength, self.shift = strength, shift

    def equalize(
        self, parameters: Parameters, channels: ChannelMap, ranges: Ranges
    ) -> int:
        """See the base class."""
        uses, done = Uses(channels), 0
        for site in channels.affine:
            if '/layer_norm:' not in site or site not in ranges:
                continue
            readers = self._readers(uses, site)
            if readers:
                self._move(parameters, channels, ranges, site, readers)
                done += 1
        return done

    def _readers(self, uses: Uses, site: str) -> list[str]:
        """The linear sites that use a LayerNorm; none if anything else does."""
        if not uses.movable(site):
            return []
        found: set[str] = set()
        for channel in uses.map.channels(site):
            readers = uses.of(channel, 'features')
            if readers is None or not all('/linear:' in r for r in readers):
                return []
            found.update(readers)
        return sorted(found) if all(map(uses.movable, found)) else []

    def _move(
        self,
        parameters: Parameters,
        channels: ChannelMap,
        ranges: Ranges,
        site: str,
        readers: list[str],
    ) -> None:
        affine, numbers = channels.affine[site], channels.channels(site)
        shift = (
            self.shift
            and affine.bias is not None
            and not channels.padded.intersection(numbers)
            and all(channels.affine[r].bias for r in readers)
        )
        low, high = ranges[site]
        middle = (low + high) / 2 if shift else torch.zeros_like(low)
        columns = {r: _columns(channels, site, r) for r in readers}
        factor = self._factors(parameters, channels, ranges[site] - middle, columns)
        parameters[affine.weight] /= factor
        if affine.bias is not None:
            parameters[affine.bias].sub_(middle).div_(factor)
        ranges[site] = (ranges[site] - middle) / factor
        for reader, (column, index) in columns.items():
            weight, bias = channels.affine[reader]
            if shift and bias is not None:
                parameters[bias] += parameters[weight][:, column] @ middle[index]
            parameters[weight][:, column] *= factor[index]

    def _factors(
        self,
        parameters: Parameters,
        channels: ChannelMap,
        ranges: Tensor,
        columns: dict[str, tuple[Tensor, Tensor]],
    ) -> Tensor:
        factor = magnitudes(ranges) ** self.strength
        if self.strength < 1:
            largest = torch.zeros_like(factor)
            for reader, (column, index) in columns.items():
                weight = parameters[channels.affine[reader].weight]
                amax = weight[:, column].abs().amax(0)
                largest.scatter_reduce_(0, index, amax, 'amax')
            factor = factor / largest ** (1 - self.strength)
        return limited(factor)


def _columns(channels: ChannelMap, site: str, reader: str) -> tuple[Tensor, Tensor]:
    """Input features of a reader that hold channels of a site, and which."""
    features, numbers = channels.features[reader].cpu(), channels.channels(site)
    mine = (features >= numbers.start) & (features < numbers.stop)
    column = mine.nonzero().flatten()
    return column, channels.index(site, features[column])
