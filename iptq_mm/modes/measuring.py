"""Float values; the moments of what linear layers and convolutions will get."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..intmath import QParams
from ..moments import Moments, patches
from ..operations import Operation
from ..plan import RegionPlan
from ..qtensor import QTensor
from .base import FloatMode, wanted_of

#: Steps of the sum of the real inputs in one step of the quantized ones: integers,
#: so that this sum, too, depends on no order, and that float32 holds up to 16 bits.
_FINE = 2**8


class Inputs:
    """What calibration kept of the inputs of a weight.

    Attributes:
        moments: Of the quantized inputs.
        fine: Sum of the inputs before they were quantized, in steps of
            ``scale / 2**8``, exact integers in float64 on the CPU, shape (K,).
    """

    def __init__(self, features: int, scale: float) -> None:
        self.moments = Moments(features, scale)
        self.fine = torch.zeros(features, dtype=torch.float64)

    def update(self, q: Tensor, real: Tensor) -> None:
        """Take in quantized and real inputs, shape (..., K)."""
        self.moments.update(q)
        steps = (real * (_FINE / self.moments.scale)).round_().flatten(0, -2)
        self.fine += steps.sum(0, dtype=torch.float64).cpu()

    def merge(self, other: Inputs) -> None:
        """Add what ``other`` saw, in place and exactly."""
        self.moments.merge(other.moments)
        self.fine += other.fine

    @property
    def real_mean(self) -> Tensor:
        """Mean of the inputs before they were quantized, float64, shape (K,)."""
        return self.fine * (self.moments.scale / _FINE / self.moments.count)


#: By name of the weight and scale of the inputs: a head may see several levels.
InputsByWeight = dict[tuple[str, float], Inputs]


class Measuring(FloatMode):
    """Adds up moments of the *quantized* inputs of every weight.

    Args:
        plan: Quantizers of all values.
        inputs: What is added to.
    """

    def __init__(self, plan: RegionPlan, inputs: InputsByWeight) -> None:
        self.plan = plan
        self.inputs = inputs

    def enter(self, name: str, value: Tensor) -> QTensor:
        """See the base class."""
        return QTensor(value, self.plan.inputs[name], name)

    def run(
        self,
        operation: Operation,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> QTensor:
        """See the base class."""
        site = self.next_site(operation)
        value = self.compute(operation, inputs, attributes)
        if operation.kind in ('linear', 'conv2d'):
            self._measure(site, inputs, attributes)
        return QTensor(value, self.plan.sites[site].output, site)

    def _measure(
        self, site: str, inputs: Sequence[QTensor | None], attributes: dict[str, Any]
    ) -> None:
        x, weight = inputs[0], inputs[1]
        assert x is not None and weight is not None
        if attributes.get('groups', 1) != 1:
            return  # each output has inputs of its own: rounded without moments
        wanted, qparams = self.plan.sites[site].inputs.get(0), x.qparams
        if wanted is not None:
            qparams = wanted_of(x, wanted, self.plan)
        assert isinstance(qparams, QParams)
        real, q = x.payload, qparams.quantize(x.payload)
        if attributes:
            real = patches(real, weight.payload.shape, **attributes)
            q = patches(q, weight.payload.shape, **attributes)
        key = weight.source.removeprefix('parameter:'), qparams.scale
        if key not in self.inputs:
            self.inputs[key] = Inputs(q.shape[-1], qparams.scale)
        self.inputs[key].update(q, real)
