"""The mode that equalization needs: float values, and ranges of their channels."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ...modes.base import FloatMode
from ...operations import Operation
from ...qtensor import QTensor


@dataclass
class Ranges:
    """The ranges of channels that equalizers use.

    Attributes:
        values: By site, lows and highs of its channels, float64, shape (2, C).
        padded: Sites and inputs beside whose values zeros were padded.
    """

    values: dict[str, Tensor] = field(default_factory=dict)
    padded: set[str] = field(default_factory=set)

    def see(self, site: str, low: Tensor, high: Tensor) -> None:
        """Widen the range of a site."""
        seen = self.values.get(site, torch.stack([low, high]))
        self.values[site] = torch.stack(
            [torch.minimum(seen[0], low), torch.maximum(seen[1], high)]
        )

    def merge(self, other: Ranges) -> None:
        """Add what another process saw."""
        for site, (low, high) in other.values.items():
            self.see(site, low, high)
        self.padded |= other.padded

    def copy(self) -> Ranges:
        """A copy with tensors of its own."""
        values = {site: seen.clone() for site, seen in self.values.items()}
        return Ranges(values, set(self.padded))

    def state_dict(self) -> dict[str, Any]:
        """Plain types and tensors, for ``torch.save``."""
        return {'values': dict(self.values), 'padded': sorted(self.padded)}

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> Ranges:
        """Inverse of :meth:`state_dict`."""
        return cls(dict(state['values']), set(state['padded']))


class Ranging(FloatMode):
    """Keeps the smallest and the largest value of each channel.

    Channels are the last dimension; those of a convolution come second.

    Args:
        sites: The sites to look at.
        ranges: What is added to.
    """

    def __init__(self, sites: Collection[str], ranges: Ranges) -> None:
        self.sites = sites
        self.ranges = ranges

    def padding(self, x: QTensor) -> None:
        """Note what is padded; images of other sizes may not be."""
        self.ranges.padded.add(x.source)

    def run(
        self,
        operation: Operation,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> QTensor:
        """See the base class."""
        x = super().run(operation, inputs, attributes)
        if x.source in self.sites and x.payload.numel():
            value = x.payload
            if operation.kind == 'conv2d':
                value = value.movedim(-3, -1)
            rows = value.reshape(-1, value.shape[-1])
            low, high = rows.amin(0), rows.amax(0)  # aminmax takes ten times as long
            self.ranges.see(x.source, low.double().cpu(), high.double().cpu())
        return x
