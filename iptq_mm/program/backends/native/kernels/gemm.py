"""The step of a product, whose epilogue may still grow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from dataclasses import field as data_field
from typing import NamedTuple

import torch
from torch import Tensor

from .....native.commands import ADD, NOTHING, TABLE
from .....native.storage import Storage
from ..layout.located import Located
from ..layout.steps import At, Step
from .requantization import sum_fields
from .weights import Panels, by_taps, channels, panels_of


class Tail(NamedTuple):
    """``clamp((x * left + residual * right + half) >> shift)`` after the product."""

    left: int
    right: int
    shift: int
    low: int
    high: int


@dataclass(eq=False)
class GemmStep(Step):
    """A product whose epilogue may still grow.

    Attributes:
        weight: int8, shape (n, taps, depth of a tap).
        factors: Multiplier, offset and shift by channel.
        bound: Largest magnitude of each channel's accumulator.
        clamp: Range of the product's result, before what follows.
        zero_point: Of that result: a code is the result plus it.
        input_zero_point: Of the input.
        tail: What follows, where that is arithmetic.
        storage: Of the result of all.
        panels: The packed weights, once nothing changes any more.
    """

    weight: Tensor = data_field(kw_only=True)
    factors: tuple[Tensor, Tensor, Tensor] = data_field(kw_only=True)
    bound: Tensor = data_field(kw_only=True)
    clamp: tuple[int, int] = data_field(kw_only=True)
    zero_point: int = data_field(kw_only=True)
    input_zero_point: int = data_field(kw_only=True)
    tail: Tail | None = data_field(kw_only=True, default=None)
    storage: Storage = data_field(kw_only=True)
    panels: Panels | None = data_field(kw_only=True, default=None)

    @property
    def plain(self) -> bool:
        """Whether nothing follows the product yet."""
        return self.fields['post'] == NOTHING

    def extend(self, post: int, tail: Tail | None, **fields: object) -> None:
        """Let something follow the product.

        Args:
            post: What.
            tail: Its numbers, if it is arithmetic.
            **fields: Of the command.
        """
        self.fields.update(post=post, **fields)
        self.tail = tail
        if tail is not None:
            self.zero_point = 0

    def narrow(self, low: int, high: int) -> None:
        """Clamp the result of all once more; a table's is not arithmetic."""
        assert self.fields['post'] != TABLE
        if self.tail is None:
            self.clamp = _clamped(self.clamp, low, high)
            return
        bounds = _clamped((self.tail.low, self.tail.high), low, high)
        self.tail = self.tail._replace(low=bounds[0], high=bounds[1])

    def store(self, place: Located) -> Located:
        """Put the result elsewhere; it lies there as it lay before."""
        self.storage = place.storage
        if self.plain:
            self.zero_point = place.storage.zero_point
        self.fields.update(out=At(place.buffer), out_type=place.storage.type)
        return replace(place, producer=self)

    def permute(self, order: Tensor) -> None:
        """Make the channels in another order."""
        self.weight, self.bound = self.weight[order], self.bound[order]
        multiplier, offset, shift = self.factors
        self.factors = multiplier[order], offset[order], shift[order]

    def final_fields(self) -> dict:
        """See the base class."""
        if 'start' not in self.fields:
            self.fields.update(self._panels() | self._channels())
            if self.tail is not None:
                # 16 bits of a residual, the product's result otherwise.
                bound = max(abs(self.clamp[0]), self.clamp[1])
                bound = max(bound, 2**15) if self.fields['post'] == ADD else bound
                self.fields['sum'] = sum_fields(*self.tail, self.storage, bound)
        return self.fields

    def _panels(self) -> dict:
        if self.fields['window'].get('depthwise'):
            return {'weights': by_taps(self.weight), 'bits': 8, 'width': 4}
        self.panels = made = panels_of(self.weight)
        return {'weights': made.data, 'bits': made.bits, 'width': made.width}

    def _channels(self) -> dict:
        made = channels(*self.factors, self.bound, self.clamp, self.zero_point)
        sums = self.weight.sum((1, 2), dtype=torch.int64) * -self.input_zero_point
        start = torch.zeros(len(made.shift), dtype=torch.int32)
        start[: len(sums)] = sums.to(torch.int32)
        return {
            'start': start,
            'quick': made.quick,
            'multiplier': made.multiplier,
            'offset': made.offset,
            'up': made.up,
            'shift': made.shift,
            'low': made.low,
            'high': made.high,
        }


def _clamped(bounds: tuple[int, int], low: int, high: int) -> tuple[int, int]:
    """Bounds of what is clamped to ``bounds``, then to ``low..high``."""
    first, last = (min(max(b, low), high) for b in bounds)
    return first, last
