"""Ranges by channel of queries, keys and values."""

from __future__ import annotations

import torch
from torch import Tensor

from ...modes import ChannelMap, Ranges
from ...registry import EQUALIZERS
from .base import Equalizer, Parameters, Uses, limited, magnitudes, scale_rows


@EQUALIZERS.register_module('attention')
class AttentionEqualizer(Equalizer):
    """Gives the channels of queries, keys and values like ranges.

    Scores are sums of products of a query and a key channel, so that the factor
    ``sqrt(max|k| / max|q|)`` on the one and its inverse on the other leaves them as
    they are. Attention mixes the tokens of a value channel, never channels: its
    factor passes to the columns of the output projection (cross-layer
    equalization, Nagel et al., arXiv 1906.04721, eq. 9).

    Args:
        products: Whether queries and keys get factors.
        values: Whether values do.
    """

    def __init__(self, products: bool = True, values: bool = True) -> None:
        self.products, self.values = products, values

    def equalize(
        self, parameters: Parameters, channels: ChannelMap, ranges: Ranges
    ) -> int:
        """See the base class."""
        uses, done = Uses(channels), 0
        if self.products:
            for site, pairs in channels.products.items():
                done += self._balance(parameters, uses, ranges, site, pairs.cpu())
        if self.values:
            for site, numbers in channels.carried.items():
                done += self._level(parameters, uses, ranges, site, numbers.cpu())
        return done

    def _balance(
        self,
        parameters: Parameters,
        uses: Uses,
        ranges: Ranges,
        site: str,
        pairs: Tensor,
    ) -> bool:
        """Balance queries with keys."""
        owners = [_owner(uses, pairs[:, i], ranges) for i in (0, 1)]
        if None in owners or any(
            uses.of(channel, 'products') != [site]
            for channel in pairs.flatten().tolist()
        ):
            return False
        if any(len(pairs[:, i].unique()) != len(pairs) for i in (0, 1)):
            return False  # grouped queries
        index = [uses.map.index(o, pairs[:, i]) for i, o in enumerate(owners) if o]
        amax = [magnitudes(ranges[o][:, j]) for o, j in zip(owners, index, strict=True)]  # type: ignore[index]
        factor = limited((amax[1] / amax[0]).sqrt())
        for owner, i, by in zip(owners, index, (factor, 1 / factor), strict=True):
            assert owner is not None
            scale_rows(parameters, uses.map, owner, i, by)
            ranges[owner][:, i] *= by
        return True

    def _level(
        self,
        parameters: Parameters,
        uses: Uses,
        ranges: Ranges,
        site: str,
        numbers: Tensor,
    ) -> bool:
        """Bring values to the range of the widest channel of their layer."""
        owner = _owner(uses, numbers, ranges)
        if owner is None:
            return False
        readers: set[str] = set()
        for channel in numbers.tolist():
            used = uses.readers[channel]
            if channel in uses.map.elsewhere or ('carried', site) not in used:
                return False
            rest = used - {('carried', site)}
            if any(k != 'features' or '/linear:' not in s for k, s in rest):
                return False
            readers.update(s for _, s in rest)
        if not readers or not all(map(uses.movable, readers)):
            return False
        index = uses.map.index(owner, numbers)
        amax = magnitudes(ranges[owner])
        factor = limited(amax.max() / amax[index])
        scale_rows(parameters, uses.map, owner, index, factor)
        ranges[owner][:, index] *= factor
        for reader in readers:
            features = uses.map.features[reader].cpu()
            for channel, by in zip(numbers.tolist(), factor.tolist(), strict=True):
                weight = parameters[uses.map.affine[reader].weight]
                weight[:, features == channel] /= by
        return True


def _owner(uses: Uses, numbers: Tensor, ranges: Ranges) -> str | None:
    """The linear site that makes all of these channels and can take factors."""
    if not len(numbers) or int(numbers.min()) == 0:
        return None
    owner = uses.owner(int(numbers[0]))
    made = uses.map.channels(owner)
    mine = all(int(n) in made for n in torch.stack([numbers.min(), numbers.max()]))
    if mine and owner in ranges and '/linear:' in owner and uses.movable(owner):
        return owner
    return None
