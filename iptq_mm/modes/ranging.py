"""Float values; the range of each channel of the sites that are asked for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor

from ..operations import Operation
from ..qtensor import QTensor
from .base import FloatMode

#: By site, lows and highs of its channels (last dimension), float64, shape (2, C).
Ranges = dict[str, Tensor]


class Ranging(FloatMode):
    """Keeps the smallest and the largest value of each channel.

    Args:
        sites: The sites to look at.
        ranges: What they are added to.
    """

    def __init__(self, sites: Collection[str], ranges: Ranges) -> None:
        self.sites = sites
        self.ranges = ranges

    def run(
        self,
        operation: Operation,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> QTensor:
        """See the base class."""
        site = self.next_site(operation)
        value = self.compute(operation, inputs, attributes)
        if site in self.sites and value.numel():
            low, high = torch.aminmax(value.reshape(-1, value.shape[-1]), dim=0)
            merge_ranges(self.ranges, {site: torch.stack([low, high]).double().cpu()})
        return QTensor(value, None, site)


def merge_ranges(ranges: Ranges, others: Ranges) -> None:
    """Widen ``ranges`` to hold ``others``."""
    for site, other in others.items():
        mine = ranges.get(site, other)
        ranges[site] = torch.stack(
            [torch.minimum(mine[0], other[0]), torch.maximum(mine[1], other[1])]
        )
