"""Which channel of which site arrives where: the region run on channel numbers.

Model code moves channels about (heads, windows, patches), and factors that shall
move from one layer's parameters to another's have to follow them. Here every value
is the number of the channel that it belongs to, so that views carry the numbers to
the sites that use them, whatever the code between does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from ...modes.base import Mode
from ...operations import Operation
from ...qtensor import QTensor
from ...utils.trees import tree_leaves
from .channel_map import PARAMETER, UNKNOWN, Affine, ChannelMap

#: A value of channel n is n times this: what a mask or a constant was added to is no
#: multiple of it, hence no channel.
_UNIT = math.pi
#: How far from one a multiple may be after a factor was multiplied and divided out.
_TOLERANCE = 1e-8


class Channels(Mode):
    """Fills a :class:`ChannelMap`. The numbers mean nothing, only their channels do."""

    def __init__(self) -> None:
        self.map = ChannelMap()

    def enter(self, name: str, value: Tensor) -> QTensor:
        """See the base class."""
        return QTensor(torch.zeros_like(value, dtype=torch.float64), None, name)

    def parameter(self, name: str, value: nn.Parameter) -> QTensor:
        """See the base class."""
        size = value.shape[-1] if value.dim() else 1
        first = self.map.number(PARAMETER + name, size)
        payload = _numbered(first, value.shape or torch.Size([1]), -1)
        payload = payload.view(value.shape).to(value.device)
        return QTensor(payload, None, PARAMETER + name, constant=True)

    def constant(self, value: Tensor) -> QTensor:
        """See the base class."""
        zeros = torch.zeros_like(value, dtype=torch.float64)
        return QTensor(zeros, None, 'constant', constant=True)

    def fold(self, func: Any, args: tuple, kwargs: dict) -> Any:
        """See the base class; a result of one parameter is used as that one."""
        args, kwargs = tree_map(_double, (args, kwargs))
        result = super().fold(func, args, kwargs)
        sources = {x.source for x in tree_leaves((args, kwargs)) if _is_parameter(x)}
        if len(sources) > 1 or not all(map(_is_parameter, tree_leaves(result))):
            for source in sources:
                self.map.use(source.removeprefix(PARAMETER), 'a computation')
        return result

    def run(
        self,
        operation: Operation,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> QTensor:
        """Note what the site looks at; number its output."""
        site, kind = self.next_site(operation), operation.kind
        for x in inputs:
            self._use(x, site)
        payloads = [None if x is None else x.payload.to('meta') for x in inputs]
        shape = operation.real(payloads, attributes).shape
        x = inputs[0]
        assert x is not None
        if kind in ('linear', 'layer_norm', 'conv2d'):
            if kind == 'conv2d':
                self._forbid(x)
            else:
                self._look(site, x)
            self._note_parameters(site, inputs)
            return self._made(site, shape, -3 if kind == 'conv2d' else -1, x)
        if kind == 'matmul' and inputs[1] is not None:
            return QTensor(self._product(site, x, inputs[1], shape), None, site)
        if self._sums(site, kind, inputs, attributes):
            return self._made(site, shape, -1, x)
        for other in inputs:
            self._forbid(other)
        zeros = torch.zeros(shape, dtype=torch.float64, device=x.payload.device)
        return QTensor(zeros, None, site)

    def leave(self, value: QTensor) -> Tensor:
        """See the base class."""
        self._use(value, 'the output')
        self._forbid(value)
        return torch.zeros_like(value.payload, dtype=torch.float32)

    def hand_out(self, value: QTensor) -> Tensor:
        """See the base class; a module that stays float finds values as they are."""
        return self.leave(value)

    def _use(self, x: QTensor | None, by: str) -> None:
        if x is not None and _is_parameter(x):
            self.map.use(x.source.removeprefix(PARAMETER), by)

    def _forbid(self, x: QTensor | None) -> None:
        """Something looks at a value that must find it as it is."""
        if x is not None and not x.exact:
            self.map.forbid(self._channels(x))

    def _channels(self, x: QTensor) -> Tensor:
        """The channels of something that a site looks at, repeated rows once."""
        x = x.like(without_repeats(x.payload))
        channels = channels_of(x)
        if bool(((channels == UNKNOWN) & (x.payload != 0)).any()):
            # A constant was added: what it was added to has to stay.
            self.map.forbid_all(x.source)
        return channels

    def _made(self, site: str, shape: torch.Size, axis: int, like: QTensor) -> QTensor:
        """The output of a site, whose channels lie along an axis."""
        first = self.map.number(site, shape[axis])
        payload = _numbered(first, shape, axis).to(like.payload.device)
        return QTensor(payload, None, site)

    def _note_parameters(self, site: str, inputs: Sequence[QTensor | None]) -> None:
        """Keep the names of a layer's parameters, if they are parameters as such."""
        given = [x for x in inputs[1:] if x is not None]
        if inputs[1] is None or not inputs[1].whole:
            return
        names = [x.source.removeprefix(PARAMETER) for x in given if x.whole]
        if not self.map.keep(self.map.weights, site, names[0]):
            self.map.use(names[0], 'another call')
            self.map.use(self.map.weights[site], 'another call')
        if len(names) < len(given):
            return
        affine = Affine(names[0], names[1] if names[1:] else None)
        if not self.map.keep(self.map.affine, site, affine):
            for name in (*names, *filter(None, self.map.affine[site])):
                self.map.use(name, 'another call')

    def _features(self, x: QTensor) -> Tensor:
        """The channel along the last dimension; UNKNOWN where there are several."""
        rows = self._channels(x).reshape(-1, x.payload.shape[-1])
        if not len(rows):
            return rows.new_zeros(rows.shape[-1])
        highest = rows.amax(0)
        # 0 is padding, or a channel that cannot be told.
        mixed = ((rows != highest) & (rows != UNKNOWN)).any(0)
        self.map.forbid(rows[:, mixed])
        return torch.where(mixed, UNKNOWN, highest).cpu()

    def _look(self, site: str, x: QTensor) -> None:
        """Note which channel each feature of an operand holds."""
        features = self._features(x)
        same = self.map.keep(self.map.features, site, features)
        if not (self.map.keep(self.map.gains, site, x.factor) and same):
            self.map.forbid(features)
            self.map.forbid(self.map.features[site])

    def _product(self, site: str, a: QTensor, b: QTensor, shape: torch.Size) -> Tensor:
        """Note the channels of a product; the output carries those of ``b``."""
        left, right = self._channels(a), self._channels(b)
        along = right[..., :1, :]
        if bool((right == along).all()) and bool((along != UNKNOWN).any()):
            self.map.forbid(left)
            carried = along.unique().cpu()
            if not self.map.keep(self.map.carried, site, carried):
                self.map.forbid(carried)
                self.map.forbid(self.map.carried[site])
            return along.expand(shape).double() * _UNIT
        pairs = _pairs(left, right)
        if pairs is None or not self.map.keep(self.map.products, site, pairs):
            self.map.forbid(left)
            self.map.forbid(right)
        return torch.zeros(shape, dtype=torch.float64, device=a.payload.device)

    def _sums(
        self,
        site: str,
        kind: str,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> bool:
        """Note a sum channel by channel; False if it is none."""
        if kind not in ('add', 'cat'):
            return False
        if kind == 'cat' and attributes['dim'] in (-1, _dim(inputs[0]) - 1):
            return False
        names = [self._owner(x) for x in inputs if x is not None]
        if '' in names or len({self.map.sizes[name] for name in names}) > 1:
            return False
        if not self.map.keep(self.map.sums, site, names):
            for name in (site, *names, *self.map.sums[site]):
                self.map.forbid_all(name)
        return True

    def _owner(self, x: QTensor) -> str:
        """The site or parameter whose channels, in order, a value holds, or ''."""
        if x.source not in self.map.first:
            return ''
        features, numbers = self._features(x), self.map.channels(x.source)
        return x.source if features.tolist() == list(numbers) else ''


def channels_of(x: QTensor) -> Tensor:
    """The channel of every element, int64; UNKNOWN where it cannot be told."""
    numbers = x.payload / (x.factor * _UNIT)
    channels = numbers.round()
    # Masks reach beyond what integers hold.
    valid = ((numbers - channels).abs() < _TOLERANCE) & (channels.abs() < 2.0**40)
    return torch.where(valid, channels, UNKNOWN).long().clamp(min=UNKNOWN)


def without_repeats(values: Tensor) -> Tensor:
    """Values with each dimension but the last cut to 1 where its slices are equal.

    Nearly all values have the same channels for every token and image: the rest of the
    work is on a row, and not on the megabytes of a detector's first stage.
    """
    for dim, size in enumerate(values.shape[:-1]):
        first = values.narrow(dim, 0, min(size, 1))
        if size > 1 and torch.equal(values, first.expand_as(values)):
            values = first
    return values


def _pairs(left: Tensor, right: Tensor) -> Tensor | None:
    """Pairs of channels whose products are summed, shape (pairs, 2).

    None if a pair cannot be told, or tokens differ in their channels.
    """
    # One row of ``left`` and one column of ``right`` stand for all.
    row, column = left[..., :1, :], right[..., :, :1]
    if not ((left == row).all() and (right == column).all()):
        return None
    # One integer a pair, and unique() is ten times as fast.
    codes = ((row.squeeze(-2) << 32) + column.squeeze(-1)).unique().cpu()
    pairs = torch.stack([codes >> 32, codes & (2**32 - 1)], -1)
    return pairs if bool((pairs != UNKNOWN).all()) else None


def _numbered(first: int, shape: torch.Size, axis: int) -> Tensor:
    """Values of consecutive channels along an axis."""
    numbers = torch.arange(first, first + shape[axis], dtype=torch.float64) * _UNIT
    view = [1] * len(shape)
    view[axis] = -1
    return numbers.view(view).expand(shape).contiguous()


def _dim(x: QTensor | None) -> int:
    return 0 if x is None else x.payload.dim()


def _double(x: Any) -> Any:
    """A float tensor of the model, a buffer say, in the type of channel numbers."""
    plain = isinstance(x, Tensor) and not isinstance(x, QTensor)
    return x.double() if plain and x.is_floating_point() else x


def _is_parameter(x: Any) -> bool:
    return isinstance(x, QTensor) and x.source.startswith(PARAMETER)
