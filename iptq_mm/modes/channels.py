"""Which channel of which site arrives where: the region run on channel numbers.

Model code moves channels about (heads, windows, patches), and factors that shall
move from one layer's parameters to another's have to follow them. Here every value
is the number of the channel that it belongs to, so that views carry the numbers to
the sites that use them, whatever the code between does.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..operations import Operation
from ..qtensor import QTensor
from .base import FloatMode

#: No channel, or one that cannot be told; the numbers of channels start at 1.
UNKNOWN = 0
#: A value of channel n is n times this: what a mask or a constant was added to is no
#: multiple of it, hence no channel.
_UNIT = math.pi


class Affine(NamedTuple):
    """Parameters of a layer whose operands are whole parameters."""

    weight: str
    bias: str | None


@dataclass
class ChannelMap:
    """How channels of sites are used.

    Attributes:
        first: Number of channel 0 of each site and parameter.
        sizes: How many channels it has.
        affine: Parameters of the linear, convolution and LayerNorm sites.
        uses: How many sites use each parameter.
        features: By linear or LayerNorm site, the channel that each input feature
            holds, int64, shape (K,); UNKNOWN where that is not one channel.
        products: By site of a product of activations, the pairs of channels whose
            products are summed, int64, shape (pairs, 2).
        carried: By site of a product, the channels of its second operand that the
            output carries on (values of attention), int64, shape (n,).
        elsewhere: Channels that anything else looks at.
        padded: Channels beside which zeros were padded.
    """

    first: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    affine: dict[str, Affine] = field(default_factory=dict)
    uses: Counter[str] = field(default_factory=Counter)
    features: dict[str, Tensor] = field(default_factory=dict)
    products: dict[str, Tensor] = field(default_factory=dict)
    carried: dict[str, Tensor] = field(default_factory=dict)
    elsewhere: set[int] = field(default_factory=set)
    padded: set[int] = field(default_factory=set)

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


class Channels(FloatMode):
    """Fills a :class:`ChannelMap`. The numbers mean nothing, only their channels do."""

    def __init__(self) -> None:
        self.map = ChannelMap()

    def enter(self, name: str, value: Tensor) -> QTensor:
        """See the base class."""
        return QTensor(torch.zeros_like(value, dtype=torch.float64), None, name)

    def parameter(self, name: str, value: nn.Parameter) -> QTensor:
        """See the base class."""
        size = value.shape[-1] if value.dim() else 1
        payload = _numbered(self.map.number(f'parameter:{name}', size), value.shape, -1)
        payload = payload.to(value.device)
        return QTensor(payload, None, f'parameter:{name}', constant=True)

    def constant(self, value: Tensor) -> QTensor:
        """See the base class."""
        zeros = torch.zeros_like(value, dtype=torch.float64)
        return QTensor(zeros, None, 'constant', constant=True)

    def padding(self, x: QTensor) -> None:
        """Note the channels of a value that is padded with zeros."""
        self.map.padded.update(_known(channels_of(x)))

    def run(
        self,
        operation: Operation,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> QTensor:
        """Note what the site looks at; number its output."""
        site, kind = self.next_site(operation), operation.kind
        for x in inputs:
            if x is not None and x.constant and x.source.startswith('parameter:'):
                self.map.uses[x.source.removeprefix('parameter:')] += 1
        payloads = [None if x is None else x.payload.to('meta') for x in inputs]
        shape = operation.real(payloads, attributes).shape
        x = inputs[0]
        assert x is not None
        if kind in ('linear', 'layer_norm'):
            self._look(site, x)
        if kind in ('linear', 'layer_norm', 'conv2d'):
            if kind == 'conv2d':
                self.map.elsewhere.update(_known(channels_of(x)))
            self._note_parameters(site, inputs)
            axis = 1 if kind == 'conv2d' else -1
            first = self.map.number(site, shape[axis])
            payload = _numbered(first, shape, axis).to(x.payload.device)
            return QTensor(payload, None, site)
        if kind == 'matmul' and inputs[1] is not None:
            return QTensor(self._product(site, x, inputs[1], shape), None, site)
        for other in inputs:
            if other is not None:
                self.map.elsewhere.update(_known(channels_of(other)))
        zeros = torch.zeros(shape, dtype=torch.float64, device=x.payload.device)
        return QTensor(zeros, None, site)

    def leave(self, value: QTensor) -> Tensor:
        """See the base class."""
        self.map.elsewhere.update(_known(channels_of(value)))
        return torch.zeros_like(value.payload, dtype=torch.float32)

    def _note_parameters(self, site: str, inputs: Sequence[QTensor | None]) -> None:
        """Keep the names of a layer's parameters, if they are parameters as such."""
        given = [x for x in inputs[1:] if x is not None]
        if inputs[1] is None or not all(x.whole for x in given):
            return
        names = [x.source.removeprefix('parameter:') for x in given]
        self.map.affine[site] = Affine(names[0], names[1] if names[1:] else None)

    def _look(self, site: str, x: QTensor) -> None:
        """Note which channel each feature of an operand holds."""
        rows = channels_of(x).flatten(0, -2)
        highest = rows.amax(0)
        # 0 is padding, or a channel that cannot be told; see ``padded``.
        mixed = ((rows != highest) & (rows != UNKNOWN)).any(0)
        self.map.elsewhere.update(_known(rows[:, mixed]))
        features = torch.where(mixed, UNKNOWN, highest)
        before = self.map.features.setdefault(site, features)
        if not torch.equal(before, features):  # a site of two calls of the region
            self.map.elsewhere.update(_known(features), _known(before))

    def _product(self, site: str, a: QTensor, b: QTensor, shape: torch.Size) -> Tensor:
        """Note the channels of a product; the output carries those of ``b``."""
        left, right = channels_of(a), channels_of(b)
        batch = torch.broadcast_shapes(left.shape[:-2], right.shape[:-2])
        # One row of ``a`` and one column of ``b`` stand for all.
        row, column = left[..., :1, :], right[..., :, :1]
        if not ((left == row).all() and (right == column).all()):
            row, column = torch.zeros_like(row), torch.zeros_like(column)
        pairs = torch.stack(
            [
                row.expand(*batch, *row.shape[-2:]).flatten(),
                column.mT.expand(*batch, *column.mT.shape[-2:]).flatten(),
            ],
            -1,
        ).unique(dim=0)
        along = right[..., :1, :]
        if bool((right == along).all()) and bool((along != UNKNOWN).any()):
            self.map.carried[site] = along.unique()
            self.map.elsewhere.update(_known(left))
            return along.expand(shape).double() * _UNIT
        if bool((pairs != UNKNOWN).all()):
            self.map.products[site] = pairs
        else:
            self.map.elsewhere.update(_known(left), _known(right))
        return torch.zeros(shape, dtype=torch.float64, device=a.payload.device)


def channels_of(x: QTensor) -> Tensor:
    """The channel of every element, int64; UNKNOWN where it cannot be told."""
    numbers = x.payload / (x.factor * _UNIT)
    channels = numbers.round()
    valid = (numbers - channels).abs() < 1e-6
    return torch.where(valid, channels, UNKNOWN).long().clamp(min=UNKNOWN)


def _numbered(first: int, shape: torch.Size, axis: int) -> Tensor:
    """Values of consecutive channels along an axis."""
    if not shape:
        return torch.full((), first * _UNIT, dtype=torch.float64)
    numbers = torch.arange(first, first + shape[axis], dtype=torch.float64) * _UNIT
    view = [1] * len(shape)
    view[axis] = -1
    return numbers.view(view).expand(shape).contiguous()


def _known(channels: Tensor) -> list[int]:
    found: list[int] = channels.unique().tolist()
    return [c for c in found if c != UNKNOWN]
