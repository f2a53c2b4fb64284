"""Ranges by channel of queries, keys and values."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ...registry import EQUALIZERS
from .base import (
    Equalized,
    Equalizer,
    Uses,
    alone,
    check_beyond,
    far_apart,
    limited,
    magnitudes,
    outliers,
)


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
        beyond: Only channels that are larger than so many times the median of queries,
            keys or values get a factor of their own; None: all. Weights of few bits
            have fewer uneven columns then. Without such channels there are no factors,
            unless the medians of queries and keys are that far apart, or those of
            values and of what else their layer makes.

    Raises:
        ValueError: If ``beyond`` is below 1.
    """

    def __init__(
        self, products: bool = True, values: bool = True, beyond: float | None = None
    ) -> None:
        check_beyond(beyond)
        self.products, self.values, self.beyond = products, values, beyond

    def equalize(self, region: Equalized) -> int:
        """See the base class."""
        uses, done = Uses(region.channels), 0
        if self.products:
            for site, pairs in region.channels.products.items():
                done += _balance(region, uses, site, pairs, self.beyond)
        if self.values:
            carried = region.channels.carried.values()
            for numbers in carried:
                done += _level(region, uses, numbers, carried, self.beyond)
        return done


def _balance(
    region: Equalized, uses: Uses, site: str, pairs: Tensor, beyond: float | None
) -> bool:
    """Balance queries with keys; False where factors cannot move, or none is wanted."""
    if uses.of(pairs.flatten().tolist()) != {'products': [site]}:
        return False
    if any(len(side.unique()) != len(pairs) for side in pairs.T):
        return False  # grouped queries: a key has several partners
    found = []
    for numbers in pairs.T:
        owner = uses.linear_owner(numbers)
        if owner is None or owner not in region.ranges.values:
            return False
        found.append((owner, region.channels.index(owner, numbers)))
    queries, keys = (magnitudes(region.ranges.values[o])[i] for o, i in found)
    some = outliers(queries, beyond) | outliers(keys, beyond)
    if far_apart(queries, keys, beyond):
        some[:] = True
    if not some.any():
        return False
    factor = torch.where(some, limited((keys / queries).sqrt()), 1.0)
    for (owner, index), by in zip(found, (factor, 1 / factor), strict=True):
        region.scale_made(owner, by, index)
    return True


def _level(
    region: Equalized,
    uses: Uses,
    numbers: Tensor,
    carried: Iterable[Tensor],
    beyond: float | None,
) -> bool:
    """Give values the range of what else their layer makes.

    Queries and keys may come out of the same layer, whose outputs have one scale:
    values beyond theirs would leave them few levels.

    Returns:
        False where factors cannot move, or none is wanted.
    """
    owner = uses.linear_owner(numbers)
    if owner is None or owner not in region.ranges.values:
        return False
    found = uses.of(numbers.tolist()) or {}
    readers = found.get('features', [])
    if found.keys() != {'features', 'carried'}:
        return False
    if not all('/linear:' in r and uses.movable(r) for r in readers):
        return False
    index = region.channels.index(owner, numbers)
    amax = magnitudes(region.ranges.values[owner])
    by, others = torch.ones_like(amax), torch.ones_like(amax, dtype=torch.bool)
    # Values of other products do not decide, either.
    every = region.channels.index(owner, torch.cat(list(carried)))
    others[every[(every >= 0) & (every < len(amax))]] = False
    rest = amax[others] if others.any() else amax
    widest = rest.max() if rest.max() > 0 else amax.max()
    some = outliers(amax[index], beyond)
    if not some.any() and not far_apart(amax[index], rest, beyond):
        return False
    by[index] = limited(widest / alone(amax[index], some))
    region.scale_made(owner, by)
    for reader in readers:
        region.scale_read(reader, owner, 1 / by)
    return True
