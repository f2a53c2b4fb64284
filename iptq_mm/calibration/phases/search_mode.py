"""The mode of the phase search: float values, and the effect of clipping each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ...intmath import QParams
from ...operations import Operation
from ...qtensor import QTensor
from ...utils.exact_sum import Sums, add_by_image
from ..backward import Differentiating, Saved
from ..sampling import spread_rows


class Searching(Differentiating):
    """Estimates the output error of several quantizers of each value, in one pass.

    To first order the error ``e`` of a value changes the region's outputs by
    ``J e``. Rounding errors hardly add up there; clipping errors do, since they all
    have one sign. ``(g . e)^2``, see the base class, knows the difference.

    Attributes:
        effects: By value, the sum of ``(g . e)^2`` over images and draws for each of
            its quantizers.

    Args:
        quantizers: By value, the quantizers to try.
        draws: See the base class.
        powers: See :class:`~iptq_mm.modes.base.Mode`.
        saved: See the base class.
    """

    def __init__(
        self,
        quantizers: Mapping[str, Sequence[QParams]],
        draws: int,
        powers: Mapping[str, Sequence[int]],
        saved: Saved | None = None,
    ) -> None:
        super().__init__(draws, saved)
        self.quantizers = quantizers
        self.channel_shifts = powers
        self.effects: Sums = {}

    def enter(self, name: str, value: Tensor) -> QTensor:
        """See the base class."""
        x = super().enter(name, value)
        self._try(name, x.payload)
        return x

    def run(
        self,
        operation: Operation,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> QTensor:
        """See the base class."""
        x = super().run(operation, inputs, attributes)
        self._try(x.source, x.payload)
        return x

    def _try(self, name: str, value: Tensor) -> None:
        """Add up effects once the gradient is known."""
        if name not in self.quantizers:
            return

        def use(gradient: Tensor) -> None:
            x, g = (spread_rows(v, self.images).flatten(1) for v in (value, gradient))
            found = []
            for q in self.quantizers[name]:
                error = torch.fake_quantize_per_tensor_affine(
                    x, q.scale, 0, q.qmin, q.qmax
                ).sub_(x)
                found.append(error.mul_(g).sum(1, dtype=torch.float64).square())
            add_by_image(self.effects, name, torch.stack(found).tolist())

        self.watch(value, use)
