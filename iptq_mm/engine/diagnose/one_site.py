"""A region in floats, but for one site, which is as in the integer model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from ...intmath import QParams
from ...modes.fake import Fake, fake_quantize
from ...operations import NonLinear, Operation
from ...plan import RegionPlan
from ...qtensor import QTensor
from ...qtensor.channel_shifts import dropped_bits
from ...statistics import Statistics
from ..report.sensitivity import PARTS

_PARAMETER = 'parameter:'


class OneSite(Fake):
    """Floats everywhere but at one site.

    Args:
        plan: The plan of the integer model.
        integers: Real values of its integer parameters, by name.

    Attributes:
        only: The site; '': all is float.
        parts: What of it is as in the integer model, of :data:`PARTS`.
        seen: Statistics of float values, by site and input; None: none are kept.
    """

    def __init__(self, plan: RegionPlan, integers: Mapping[str, Tensor]) -> None:
        super().__init__(plan)
        self._integers = integers
        self.only = ''
        self.parts: Sequence[str] = PARTS
        self.seen: dict[str, Statistics] | None = None

    def enter(self, name: str, value: Tensor) -> QTensor:
        """See the base class."""
        self._see(name, value)
        return QTensor(value, self.plan.inputs[name], name)

    def parameter(self, name: str, value: nn.Parameter) -> QTensor:
        """See the base class."""
        x = super().parameter(name, value)
        x.payload = value.detach()
        return x

    def brought(
        self, site: str, inputs: Sequence[QTensor | None]
    ) -> Sequence[QTensor | None]:
        """See the base class."""
        here = site == self.only
        taken = list(super().brought(site, inputs))
        for i, (x, rounded) in enumerate(zip(inputs, taken, strict=True)):
            if x is None or rounded is None:
                continue
            if x.source.startswith(_PARAMETER):
                integer = here and 'weights' in self.parts
                taken[i] = self._integer(x) if integer else x
            elif not (here and 'inputs' in self.parts):
                rounded.payload = x.payload  # at the scale of the integer model
        return taken

    def coarser(self, site: str, x: QTensor, qparams: QParams) -> QTensor:
        """See the base class."""
        here = site == self.only and 'inputs' in self.parts
        return dropped_bits(x, qparams, rounded=here)

    def made(
        self,
        site: str,
        operation: Operation,
        operands: Sequence[QTensor | None],
        attributes: dict[str, Any],
        value: Tensor,
    ) -> Tensor:
        """See the base class."""
        self._see(site, value)
        if site != self.only:
            return value
        if isinstance(operation, NonLinear) and 'function' in self.parts:
            return self.approximated(site, operation, operands, attributes, value)
        if 'output' in self.parts:
            return fake_quantize(value, self.plan.sites[site].output)
        return value

    def _integer(self, x: QTensor) -> QTensor:
        """A parameter with the values that its integers stand for."""
        made = self._integers.get(x.source.removeprefix(_PARAMETER))
        if made is None or made.shape != x.payload.shape:
            return x  # a view of one, or put together from several
        other = x.like(made.to(x.payload))
        other.qparams = x.qparams
        return other

    def _see(self, name: str, value: Tensor) -> None:
        if self.seen is None:
            return
        statistics = self.seen.get(name)
        if statistics is None:
            statistics = self.seen[name] = Statistics(channels=value.dim() > 1)
        kept = statistics.channel_minimum
        if kept is None or not value.dim() or kept.numel() == value.shape[-1]:
            statistics.update(value)
