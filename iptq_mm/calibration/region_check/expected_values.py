"""Modes that keep samples of the value of every site, for comparisons."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from torch import Tensor, nn

from ...intmath import QParams
from ...modes.base import FloatMode, Mode
from ...modes.fake import Fake, fake_quantize
from ...modes.integer import Integer
from ...operations import NonLinear, Operation
from ...plan import RegionPlan
from ...qtensor import QTensor

#: Most sampled elements of a value.
MAX_ELEMENTS = 2**12


class Sampling(Mode):
    """Mixed into a mode: samples of the sites' outputs, in the order they ran.

    Attributes:
        values: Real values by site, float32, at most ``MAX_ELEMENTS`` of each, the same
            elements in every mode.
    """

    values: dict[str, Tensor]

    def taken(self) -> dict[str, Tensor]:
        """The samples since the last call of this."""
        values, self.values = self.values, {}
        return values

    def run(
        self,
        operation: Operation,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> QTensor:
        """See the base class."""
        x = super().run(operation, inputs, attributes)  # type: ignore[safe-super]
        sample = spread(x.payload.detach())
        if x.is_integer:
            assert isinstance(x.qparams, QParams)
            sample = x.qparams.dequantize(sample)
        self.values[x.source] = sample
        return x


class FloatValues(Sampling, FloatMode):
    """Float values.

    Args:
        plan: Says the channels of which operands are shifted.
    """

    def __init__(self, plan: RegionPlan) -> None:
        self.values, self.channel_shifts = {}, plan.channel_shifts


class IntegerValues(Sampling, Integer):
    """Integers; constants that are made serve the given mode, too."""

    def __init__(self, mode: Integer) -> None:
        vars(self).update(vars(mode))
        self.values = {}


class ExpectedValues(Sampling, Fake):
    """Values on the grids of the plan: the error that quantization alone explains.

    Args:
        plan: The plan.
        functions: Whether non-linear sites compute with their integer functions; else
            in floats.
        parameters: Real values of the integer parameters by name, as rounding and
            corrections made them; the others are rounded to the nearest.
    """

    def __init__(
        self,
        plan: RegionPlan,
        functions: bool = False,
        parameters: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> None:
        super().__init__(plan)
        self.functions, self.parameters = functions, parameters
        self.values = {}

    def parameter(self, name: str, value: nn.Parameter) -> QTensor:
        """See the base class."""
        x = super().parameter(name, value)
        x.payload = self.parameters.get(name, x.payload)
        return x

    def approximated(
        self,
        site: str,
        operation: NonLinear,
        operands: Sequence[QTensor | None],
        attributes: dict[str, Any],
        value: Tensor,
    ) -> Tensor:
        """See the base class."""
        if self.functions:
            return super().approximated(site, operation, operands, attributes, value)
        return fake_quantize(value, self.plan.sites[site].output)


def spread(x: Tensor, most: int = MAX_ELEMENTS) -> Tensor:
    """About ``most`` evenly spread elements, from all places of the last dimension."""
    return x.reshape(-1)[:: spread_step(x, most)].clone()


def spread_step(x: Tensor, most: int = MAX_ELEMENTS) -> int:
    """The distance of the elements that :func:`spread` takes."""
    step = max(1, x.numel() // most)
    while math.gcd(step, max(1, x.shape[-1] if x.dim() else 1)) > 1:
        step += 1
    return step
