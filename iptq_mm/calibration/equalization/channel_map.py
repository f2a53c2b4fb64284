"""How a region uses the channels of its sites, as :class:`Channels` finds it out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

#: No channel, or one that cannot be told; the numbers of channels start at 1.
UNKNOWN = 0
#: What names of parameters begin with among those of sites.
PARAMETER = 'parameter:'

_Found = TypeVar('_Found')


class Affine(NamedTuple):
    """Parameters of a layer whose operands are whole parameters."""

    weight: str
    bias: str | None


@dataclass
class ChannelMap:
    """How channels of sites and parameters are used.

    Attributes:
        first: Number of channel 0 of each site and parameter.
        sizes: How many channels it has.
        affine: Parameters of the linear, convolution and LayerNorm sites, where all of
            them are parameters as such.
        weights: Of the same sites, the weight that is a parameter as such, whatever the
            bias is: BEiT and Swin V2 put theirs together.
        uses: By parameter, the sites that use it, and whatever else does.
        features: By linear or LayerNorm site, the channel that each input feature
            holds, int64, shape (K,); UNKNOWN where that is not one channel.
        gains: By such a site, what its input was multiplied by since it was made.
        products: By site of a product of activations, the pairs of channels whose
            products are summed, int64, shape (pairs, 2).
        carried: By site of a product, the channels of its second operand that the
            output carries on (values of attention), int64, shape (n,).
        sums: By site that adds or strings together, the sites and parameters whose
            channels it does so with, channel by channel.
        elsewhere: Channels that anything else looks at.
    """

    first: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    affine: dict[str, Affine] = field(default_factory=dict)
    weights: dict[str, str] = field(default_factory=dict)
    uses: dict[str, set[str]] = field(default_factory=dict)
    features: dict[str, Tensor] = field(default_factory=dict)
    gains: dict[str, float] = field(default_factory=dict)
    products: dict[str, Tensor] = field(default_factory=dict)
    carried: dict[str, Tensor] = field(default_factory=dict)
    sums: dict[str, list[str]] = field(default_factory=dict)
    elsewhere: set[int] = field(default_factory=set)

    def number(self, name: str, size: int) -> int:
        """Number of channel 0 of a site or parameter; new ones get new numbers."""
        if name not in self.first:
            self.first[name] = 1 + sum(self.sizes.values())
            self.sizes[name] = size
        return self.first[name]

    def channels(self, name: str) -> range:
        """The numbers of the channels of a site or parameter."""
        first = self.first[name]
        return range(first, first + self.sizes[name])

    def index(self, name: str, channels: Tensor) -> Tensor:
        """Positions within a site of channels given by their numbers."""
        return channels - self.first[name]

    def columns(self, reader: str, name: str) -> tuple[Tensor, Tensor]:
        """Input features of a site that hold channels of another one.

        Returns:
            The features, and which channel each holds, by its position there.
        """
        features, mine = self.features[reader], self.channels(name)
        columns = ((features >= mine.start) & (features < mine.stop)).nonzero()
        columns = columns.flatten()
        return columns, self.index(name, features[columns])

    def use(self, parameter: str, by: str) -> None:
        """Note a use of a parameter."""
        self.uses.setdefault(parameter, set()).add(by)

    def forbid(self, channels: Tensor) -> None:
        """Note that something reads channels that must keep their ranges."""
        found: list[int] = channels.unique().tolist()
        self.elsewhere.update(c for c in found if c != UNKNOWN)

    def forbid_all(self, source: str) -> None:
        """The same for all channels of a value, given by what made it."""
        if source in self.first:
            self.elsewhere.update(self.channels(source))
        elif source in self.carried:
            self.forbid(self.carried[source])

    def keep(self, where: dict[str, _Found], site: str, found: _Found) -> bool:
        """Keep what was found at a site.

        Returns:
            Whether it is what earlier calls of the region found there, if any.
        """
        before = where.setdefault(site, found)
        if isinstance(found, Tensor) and isinstance(before, Tensor):
            return torch.equal(before, found)
        return before == found
