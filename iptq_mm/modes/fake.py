"""Fake quantization: the plan simulated in floats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from ..intmath import QParams
from ..operations import TRANSPOSED, NonLinear, Operation, SiteInputs
from ..plan import RegionPlan
from ..qtensor import QTensor, WeightQParams
from ..qtensor.channel_shifts import dropped_bits
from ..registry import FUNCTIONS
from ..rounding import NearestRounding
from .base import Mode, operand_qparams
from .inputs.given import PlannedInputs


class Fake(PlannedInputs, Mode):
    """Simulates a plan in floats, without freezing the model.

    Values are rounded to the scales and ranges of the plan, and the non-linear
    functions are the integer ones. It is for comparisons, such as those of
    :class:`~iptq_mm.calibration.region_check.expected_values.ExpectedValues`, and has
    no gradients; :class:`~iptq_mm.modes.training.Training` trains.
    """

    def __init__(self, plan: RegionPlan) -> None:
        self.plan, self.channel_shifts = plan, plan.channel_shifts
        self._functions = {
            site: FUNCTIONS.build(dict(p.function))
            for site, p in plan.sites.items()
            if p.function
        }

    def enter(self, name: str, value: Tensor) -> QTensor:
        """See the base class."""
        qparams = self.plan.inputs[name]
        return QTensor(fake_quantize(value, qparams), qparams, name)

    def parameter(self, name: str, value: nn.Parameter) -> QTensor:
        """See the base class."""
        return rounded_parameter(self.plan, name, value.detach())

    def run(
        self,
        operation: Operation,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> QTensor:
        """See the base class."""
        site = self.next_site(operation)
        operands = self.operands(site, self.brought(site, inputs))
        payloads: list[Any] = [None if x is None else x.payload for x in operands]
        value = operation.real(payloads, attributes)
        made = self.made(site, operation, operands, attributes, value)
        return QTensor(made, self.plan.sites[site].output, site)

    def brought(
        self, site: str, inputs: Sequence[QTensor | None]
    ) -> Sequence[QTensor | None]:
        """The inputs of a site with the quantizers that its plan states for them."""
        wanted = self.plan.sites[site].inputs
        return [
            self._requantize_to(x, wanted[i]) if x is not None and i in wanted else x
            for i, x in enumerate(inputs)
        ]

    def coarser(self, site: str, x: QTensor, qparams: QParams) -> QTensor:
        """See the base class; rounded."""
        return dropped_bits(x, qparams, rounded=True)

    def made(
        self,
        site: str,
        operation: Operation,
        operands: Sequence[QTensor | None],
        attributes: dict[str, Any],
        value: Tensor,
    ) -> Tensor:
        """The result of a site.

        Args:
            site: Name of the site.
            operation: Its operation.
            operands: Its operands.
            attributes: Its other arguments.
            value: The float result of these operands.
        """
        if isinstance(operation, NonLinear):
            return self.approximated(site, operation, operands, attributes, value)
        return fake_quantize(value, self.plan.sites[site].output)

    def approximated(
        self,
        site: str,
        operation: NonLinear,
        operands: Sequence[QTensor | None],
        attributes: dict[str, Any],
        value: Tensor,
    ) -> Tensor:
        """The result of a site's integer function.

        Args:
            site: Name of the site.
            operation: Its operation.
            operands: Its operands.
            attributes: Its other arguments.
            value: The float result, for modes that want it instead.
        """
        x, plan = operands[0], self.plan.sites[site]
        assert x is not None and isinstance(x.qparams, QParams)
        qparams = x.qparams
        payloads: list[Any] = [None if i is None else i.payload for i in operands]
        terms = operation.terms(payloads, attributes)
        known = SiteInputs(payloads, [qparams], plan.output, attributes, terms)
        function = self._functions[site]
        constants = plan.constants_for(qparams) or function.prepare(
            operation.function_site(known)
        )
        q = function.integer(qparams.quantize(payloads[0]), constants)
        return plan.output.dequantize(plan.output.saturate(q))

    def _requantize_to(self, x: QTensor, wanted: QParams) -> QTensor:
        """An operand rounded to the quantizer that the plan states for it."""
        wanted = operand_qparams(x, wanted, self.plan)
        return QTensor(fake_quantize(x.payload, wanted), wanted, x.source)


def rounded_parameter(plan: RegionPlan, name: str, value: Tensor) -> QTensor:
    """A parameter with the real values of the nearest integers.

    Args:
        plan: Has its scales.
        name: Its name.
        value: Its float values.
    """
    own, source = plan.parameters[name], f'parameter:{name}'
    if not isinstance(own.scale, list):
        qparams = QParams(own.scale, -own.bound, own.bound)
        return QTensor(fake_quantize(value, qparams), qparams, source, constant=True)
    if own.group:
        rounded = NearestRounding()(value, own.scales(), own.bits, group=own.group)
        weights = WeightQParams(rounded.scale, own.bound)
        real = weights.dequantize(rounded.codes)
        return QTensor(real, weights, source, constant=True)
    weights = WeightQParams(own.scales(), own.bound, own.role == TRANSPOSED)
    grid = weights.grid(value).float()
    integers = (value / grid).round_().clamp_(-own.bound, own.bound)
    return QTensor(integers * grid, weights, source, constant=True)


def fake_quantize(x: Tensor, qparams: QParams) -> Tensor:
    """``x`` rounded to a quantizer: the real values of its integers, in float32."""
    return qparams.dequantize(qparams.quantize(x))
