"""Quantized values in floats with straight-through gradients, for training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..intmath import QParams
from ..operations import TRANSPOSED, NonLinear, Operation, SiteInputs
from ..plan import RegionPlan
from ..qtensor import QTensor, WeightQParams
from ..registry import FUNCTIONS
from .base import Mode, wanted_of


class Fake(Mode):
    """The plan in floats: what training sees of the integers.

    Forward values lie on the grids of the plan; the non-linear functions are
    the integer ones. Backward, rounding and the integer functions have the
    gradient of what they stand for (straight-through estimator).
    """

    def __init__(self, plan: RegionPlan) -> None:
        self.plan, self.powers = plan, plan.powers
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
        plan = self.plan.parameters[name]
        if isinstance(plan.scale, list):
            weights = WeightQParams(plan.scales(), plan.bound, plan.role == TRANSPOSED)
            grid = weights.grid(value).float()
            rounded = (value / grid).round().clamp(-plan.bound, plan.bound) * grid
            payload = value + (rounded - value).detach()
            return QTensor(payload, weights, f'parameter:{name}', constant=True)
        qparams = QParams(plan.scale, -plan.bound, plan.bound)
        return QTensor(
            fake_quantize(value, qparams), qparams, f'parameter:{name}', constant=True
        )

    def run(
        self,
        operation: Operation,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> QTensor:
        """See the base class."""
        site = self.next_site(operation)
        plan = self.plan.sites[site]
        brought = [
            self._brought_to(x, plan.inputs[i])
            if x is not None and i in plan.inputs
            else x
            for i, x in enumerate(inputs)
        ]
        operands = self.operands(site, brought)
        payloads: list[Any] = [None if x is None else x.payload for x in operands]
        value = operation.real(payloads, attributes)
        if isinstance(operation, NonLinear):
            payload = self.approximated(site, operation, operands, attributes, value)
        else:
            payload = fake_quantize(value, plan.output)
        return QTensor(payload, plan.output, site)

    def approximated(
        self,
        site: str,
        operation: NonLinear,
        operands: Sequence[QTensor | None],
        attributes: dict[str, Any],
        value: Tensor,
    ) -> Tensor:
        """What the function of a site gives in the place of the real ``value``."""
        x, plan = operands[0], self.plan.sites[site]
        assert x is not None and isinstance(x.qparams, QParams)
        qparams = x.qparams
        payloads: list[Any] = [None if i is None else i.payload for i in operands]
        terms = operation.signature(payloads, attributes)
        known = SiteInputs(payloads, [qparams], plan.output, attributes, terms)
        function = self._functions[site]
        constants = plan.constants_for(qparams) or function.prepare(
            operation.function_site(known)
        )
        with torch.no_grad():
            q = function.integer(qparams.quantize(payloads[0]), constants)
            q = q.clamp(plan.output.qmin, plan.output.qmax)
            exact = plan.output.dequantize(q)
        return value + (exact - value).detach()

    def _brought_to(self, x: QTensor, wanted: QParams) -> QTensor:
        """An operand on the grid that the site wants."""
        wanted = wanted_of(x, wanted, self.plan)
        return QTensor(fake_quantize(x.payload, wanted), wanted, x.source)


def fake_quantize(x: Tensor, qparams: QParams) -> Tensor:
    """``x`` on the grid; the gradient is 1 inside the range and 0 outside."""
    inside = x.clamp(qparams.qmin * qparams.scale, qparams.qmax * qparams.scale)
    grid = qparams.dequantize(qparams.quantize(x.detach()))
    return inside + (grid - inside).detach()
