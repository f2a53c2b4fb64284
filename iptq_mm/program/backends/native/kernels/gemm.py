"""The builder of a ``Gemm``: a matrix product whose epilogue may still grow.

What the command computes of each accumulator, in the order of execution; ``c`` is the
output channel, ``x`` an input code (a byte or int16), ``w`` a weight. The numbers are
those of ``epilogue/epilogue.inl``, which derives the equations and has an example::

    acc  = start[c] + sum_k x[k] * w[c, k]                                (1)
    code = clamp((acc * multiplier[c] + offset[c]) >> shift[c], low, high) (3)
    out  = code                                           NOTHING
           table[code - low]                              TABLE           (5)
           clamp((code * left + residual * right
                  + half) >> shift, ...)                  ADD             (6)
           clamp((code * left + half) >> shift, ...)      RESCALE         (7)

(1) An input code is its integer plus the zero point of the input, which is the same
for all ``k``. What it adds to the sum is a constant of the channel; the accumulator
begins with its negative, ``start[c] = -input_zero_point * sum_k w[c, k]``.

(3) The requantization, which has two forms: see :mod:`.weights`. The zero point of the
result is part of ``offset``, ``low`` and ``high``.

(5) to (7) The epilogue: at most one table, residual add or rescale of a later node
(:mod:`..fusion.epilogue`). Integers between (3) and these stay in registers. In (6) and
(7), the zero point of (3) is 0, and that of ``out`` is part of ``half``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from dataclasses import field as data_field
from typing import NamedTuple

import torch
from torch import Tensor

from .....native.commands import ADD, NOTHING, TABLE
from .....native.storage import Storage
from ..layout.steps import Address, Step
from ..layout.tensor_ref import TensorRef
from .requantization import sum_fields
from .weights import (
    ChannelConstants,
    PackedWeights,
    by_taps,
    constants_once,
    packed_once,
    row_sums,
)


class EpilogueSum(NamedTuple):
    """``clamp((code * left + residual * right + half) >> shift, low, high)``."""

    left: int
    right: int
    shift: int
    low: int
    high: int


@dataclass(eq=False)
class GemmBuilder(Step):
    """A product whose epilogue may still grow; see the module for the arithmetic.

    Attributes:
        weight: int8, or int16 for inputs of 16 bits where it has to be, shape
            (n, taps, depth of a tap); empty once finished.
        factors: Multiplier, offset and shift by channel, each of shape (n,).
        bound: Largest magnitude of each channel's accumulator.
        clamp: Smallest and largest result of the requantization.
        zero_point: Zero point of that result: a code is the result plus it.
        input_zero_point: Zero point of the input.
        sum: Arithmetic of the epilogue; None: it is empty, or a table.
        storage: Storage of what is stored in the end.
        packed: The packed weights, once finished; None for depthwise convolutions.
        constants: The constants of the channels, once finished.
        finished: Whether the fields are complete; nothing may change any more.
    """

    weight: Tensor = data_field(kw_only=True)
    factors: tuple[Tensor, Tensor, Tensor] = data_field(kw_only=True)
    bound: Tensor = data_field(kw_only=True)
    clamp: tuple[int, int] = data_field(kw_only=True)
    zero_point: int = data_field(kw_only=True)
    input_zero_point: int = data_field(kw_only=True)
    sum: EpilogueSum | None = data_field(kw_only=True, default=None)
    storage: Storage = data_field(kw_only=True)
    packed: PackedWeights | None = data_field(kw_only=True, default=None)
    constants: ChannelConstants | None = data_field(kw_only=True, default=None)
    finished: bool = data_field(kw_only=True, default=False)

    @property
    def plain(self) -> bool:
        """Whether the epilogue is empty."""
        return self.fields['post'] == NOTHING

    def extend(self, post: int, sum: EpilogueSum | None, **fields: object) -> None:
        """Set the epilogue.

        Args:
            post: Its kind: ``TABLE``, ``ADD`` or ``RESCALE``.
            sum: Its arithmetic, if it is not a table.
            **fields: Further fields of the command.
        """
        assert not self.finished
        self.fields.update(post=post, **fields)
        self.sum = sum
        if sum is not None:
            self.zero_point = 0

    def clamp_result(self, low: int, high: int) -> None:
        """Clamp what is stored once more; the epilogue must not be a table."""
        assert not self.finished and self.fields['post'] != TABLE
        if self.sum is None:
            self.clamp = _clamped(self.clamp, low, high)
            return
        bounds = _clamped((self.sum.low, self.sum.high), low, high)
        self.sum = self.sum._replace(low=bounds[0], high=bounds[1])

    def store(self, out: TensorRef) -> TensorRef:
        """Store the result in another buffer, of the same layout.

        Returns:
            ``out``, with this step as its producer.
        """
        assert not self.finished
        self.storage = out.storage
        if self.plain:
            self.zero_point = out.storage.zero_point
        self.fields.update(out=Address(out.buffer), out_type=out.storage.type)
        return replace(out, producer=self)

    def permute(self, order: Tensor) -> None:
        """Make the channels in another order."""
        assert not self.finished
        self.weight, self.bound = self.weight[order], self.bound[order]
        multiplier, offset, shift = self.factors
        self.factors = multiplier[order], offset[order], shift[order]

    def finish(self) -> None:
        """See the base class: pack the weights, and make the channels' constants."""
        if self.finished:
            return
        self.fields.update(self._weight_fields() | self._channel_fields())
        if self.sum is not None:
            # 16 bits of a residual, the product's result otherwise.
            bound = max(abs(self.clamp[0]), self.clamp[1])
            bound = max(bound, 2**15) if self.fields['post'] == ADD else bound
            self.fields['sum'] = sum_fields(*self.sum, self.storage, bound)
        # Packed now. Kept in bytes, one of 4 bits would take three times the memory.
        self.weight = self.weight.new_empty(0)
        self.finished = True

    def _weight_fields(self) -> dict:
        if self.fields['window'].get('depthwise'):
            return {'weights': by_taps(self.weight), 'bits': 8, 'width': 4}
        self.packed = made = packed_once(self.weight)
        return {
            'weights': made.data,
            'bits': made.bits,
            'width': made.width,
            'group': made.group,
            'factors': made.factors,
        }

    def _channel_fields(self) -> dict:
        made = constants_once(self.factors, self.bound, self.clamp, self.zero_point)
        self.constants = made
        sums = row_sums(self.weight) * -self.input_zero_point
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
