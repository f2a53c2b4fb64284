"""The mode that the guard measures with: floats, narrow values rounded to a plan."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

from torch import Tensor

from ....intmath import QParams
from ....modes.base import FloatMode, operand_qparams
from ....modes.fake import fake_quantize
from ....operations import Operation
from ....plan import RegionPlan
from ....qtensor import QTensor

#: The most bits of the operands of products. Values with more stay floats.
NARROW_BITS = 8


class Ranged(FloatMode):
    """Floats, but for the values that products take with few bits.

    Unlike a gradient, this knows what clipping does to a whole row: ahead of a
    normalization, a massive value hardly has a gradient, and all others depend on it.

    Args:
        plan: Quantizers of all values. Functions and parameters stay as they are.
        only: The values that are rounded; None: all that have few bits.
    """

    def __init__(self, plan: RegionPlan, only: Container[str] | None = None) -> None:
        self.plan, self.channel_shifts = plan, plan.channel_shifts
        self._only = only

    def enter(self, name: str, value: Tensor) -> QTensor:
        """See the base class."""
        qparams = self.plan.inputs[name]
        return QTensor(self._rounded(name, value, qparams), qparams, name)

    def run(
        self,
        operation: Operation,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> QTensor:
        """See the base class."""
        site = self.next_site(operation)
        plan, operands = self.plan.sites[site], list(inputs)
        for position, wanted in plan.inputs.items():
            x = operands[position]
            assert x is not None
            qparams = operand_qparams(x, wanted, self.plan)
            operands[position] = QTensor(
                self._rounded(x.source, x.payload, qparams), qparams, x.source
            )
        value = self.compute(site, operation, operands, attributes)
        return QTensor(self._rounded(site, value, plan.output), plan.output, site)

    def _rounded(self, name: str, x: Tensor, q: QParams) -> Tensor:
        return (
            x if self._only is not None and name not in self._only else _rounded(x, q)
        )


def _rounded(x: Tensor, q: QParams) -> Tensor:
    """Real values on the grid of a narrow quantizer, saturated."""
    if q.bits > NARROW_BITS:
        return x
    if q.levels is not None:
        return fake_quantize(x, q)
    # Torch's own function takes three times as long.
    return (x * (1 / q.scale)).round_().clamp_(q.qmin, q.qmax).mul_(q.scale)
