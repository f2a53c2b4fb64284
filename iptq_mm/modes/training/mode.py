"""Training: the forward pass is that of the integers, the backward pass is float."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ...functions import Constants
from ...intmath import QParams, storage_dtype
from ...intmath.dyadic import Dyadic, dyadic, requantize
from ...intmath.weight_codes import most_code
from ...operations import NonLinear, Operation
from ...plan import RegionPlan, SitePlan
from ...qtensor import QTensor, WeightQParams
from ...qtensor.carried import Carried
from ...qtensor.channel_shifts import shifted_away
from ...rounding.groups import factors_of
from ..base import Mode, operand_qparams
from ..blocks import in_blocks
from ..integer import Integer
from ..site_constants import SiteConstants
from .ranges import RANGES_KEY, LearnedRanges
from .straight_through import (
    FEW_BITS,
    Call,
    Quantized,
    Requantized,
    SiteCall,
    joined,
    saturated,
)


class Kernels(Protocol):
    """Computes sites faster than torch does, with the same integers.

    :class:`iptq_mm.program.runtime.site_kernels.SiteKernels` is one.
    """

    def __call__(
        self,
        site: str,
        operation: Operation,
        function: Mapping[str, Any] | None,
        operands: Sequence[QTensor | None],
        constants: Constants,
        attributes: Mapping[str, Any],
        out: QParams,
    ) -> Tensor | None:
        """The integers of a site, clamped to ``out``; None: there is no kernel."""
        ...


class Training(Integer):
    """Runs a region by its plan, in integers, on parameters that can be trained.

    The module has float parameters. Each call rounds them to the integers of the plan's
    quantizers. All values are then those that :class:`Integer` computes from these
    integers, to the last bit, so that training sees the model that will be deployed.
    Gradients are straight-through, see :class:`.straight_through.SiteCall`.

    Args:
        plan: The region's plan.
        constants: Constants of this plan to share; None: new ones.
        ranges: Sites whose ranges are trained, too.
        factors: Factors of weights that have groups, see :func:`factors_by_name`.

    Attributes:
        ranges: Their scales; the parameter of the module decides.
        kernels: Computes sites faster than torch; None: torch does. A copy has none.
    """

    kernels: Kernels | None = None

    def __init__(
        self,
        plan: RegionPlan,
        constants: SiteConstants | None = None,
        ranges: Sequence[str] = (),
        factors: Mapping[str, Tensor] | None = None,
    ) -> None:
        super().__init__(plan, constants)
        self.factors = dict(factors or {})
        self.ranges = LearnedRanges(plan, ranges)

    def __reduce__(self) -> tuple:
        """A copy begins with the scales that the plan had at first."""
        return type(self), (
            self.ranges.first_plan(),
            None,
            self.ranges.sites,
            self.factors,
        )

    def enter(self, name: str, value: Tensor) -> QTensor:
        """Quantize an input of the region; gradients flow to it."""
        x = super().enter(name, value)
        if not value.is_floating_point() or not value.requires_grad:
            return x.like(Carried.wrap(x.payload.float()))
        qparams = self.plan.inputs[name]
        scale = torch.tensor(qparams.scale, dtype=torch.float64, device=value.device)
        carried = Quantized.apply(value, scale, qparams.qmin, qparams.qmax)
        return x.like(Carried.wrap(carried))

    def parameter(self, name: str, value: nn.Parameter) -> QTensor:
        """The integers that a parameter stands for."""
        if name == RANGES_KEY:
            if self.ranges.take(value):
                self.constants.drop(self.plan.sites.keys())
            return QTensor(value.detach(), None, f'parameter:{name}', constant=True)
        qparams = self.constants.parameter(name, value)
        factors = self.factors.get(name)
        if factors is None:
            carried = Quantized.apply(value, *_grid(qparams, value))
        else:
            factors, code = factors.to(value.device), self.code(name)
            step, _, _ = _grid(qparams, value)
            codes = Quantized.apply(value, step * factors, -code, code)
            carried = codes * factors.float()
        payload = Carried.wrap(carried)
        return QTensor(payload, qparams, f'parameter:{name}', constant=True)

    def code(self, name: str) -> int:
        """The largest magnitude of a code of a weight."""
        return most_code(self.plan.parameters[name].bits)

    def leave(self, value: QTensor) -> Tensor:
        """See the base class."""
        assert isinstance(value.payload, Carried)
        assert isinstance(value.qparams, QParams)
        return value.payload.numbers.float().mul(value.qparams.scale).contiguous()

    def hand_out(self, value: QTensor) -> Tensor:
        """See the base class."""
        return self.leave(value)

    def constant(self, value: Tensor) -> QTensor:
        """See the base class."""
        return _carried(super().constant(value))

    def fold(self, func: Any, args: tuple, kwargs: dict) -> Any:
        """See the base class; computed in each call, because parameters change."""
        return Mode.fold(self, func, args, kwargs)

    def folded(self, value: Tensor, source: str) -> QTensor:
        """See the base class."""
        x = super().folded(value.detach(), source)
        assert isinstance(x.qparams, QParams)
        carried = Quantized.apply(value, *_grid(x.qparams, value))
        return x.like(Carried.wrap(carried))

    def run(
        self,
        operation: Operation,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> QTensor:
        """Compute a site with its constants."""
        site, plan = self.planned(operation)
        operands = self.wanted_operands(site, plan, inputs)
        integers = [None if x is None else integers_of(x) for x in operands]
        constants = self.constants.of_site(site, plan, operation, integers, attributes)

        def computed() -> tuple[Tensor, Tensor | None]:
            if self.kernels is not None:
                found = self._natively(
                    site, plan, operation, integers, constants, attributes
                )
                if found is not None:
                    return saturated(found, plan.output)
            return self._in_torch(
                site, plan, operation, integers, constants, attributes
            )

        call = Call(operation, integers, attributes, plan.output, computed)
        carried = [x.payload for x in operands if x is not None]
        numbers = [c.numbers if isinstance(c, Carried) else c for c in carried]
        return QTensor(
            Carried.wrap(SiteCall.apply(call, self.ranges.of(site), *numbers)),
            plan.output,
            site,
        )

    def _natively(
        self,
        site: str,
        plan: SitePlan,
        operation: Operation,
        operands: Sequence[QTensor | None],
        constants: Constants,
        attributes: dict[str, Any],
    ) -> Tensor | None:
        """The integers of a site from its kernel; None if there is none."""
        assert self.kernels is not None
        out = plan.output
        if out.bits <= FEW_BITS:
            out = QParams(out.scale, out.qmin - 1, out.qmax + 1)
        function = plan.function if isinstance(operation, NonLinear) else None
        return self.kernels(
            site, operation, function, operands, constants, attributes, out
        )

    def _in_torch(
        self,
        site: str,
        plan: SitePlan,
        operation: Operation,
        operands: Sequence[QTensor | None],
        constants: Constants,
        attributes: dict[str, Any],
    ) -> tuple[Tensor, Tensor | None]:
        """The integers of a site, and where they saturated."""
        parts = []

        def compute(block: Sequence[Any]) -> Tensor:
            if isinstance(operation, NonLinear):
                function = self.constants.function(site, plan)
                wide = function.integer(block[0], constants)
            else:
                wide = operation.integer(block, constants, attributes)
            stored, outside = saturated(wide, plan.output)
            parts.append((stored.shape, outside))
            return stored

        payloads = [None if x is None else x.payload for x in operands]
        result = in_blocks(operation.kind, payloads, compute)
        return result, joined(parts, result)

    def _requantize_to(self, site: str, x: QTensor | None, wanted: QParams) -> QTensor:
        """An operand requantized to what the site wants."""
        assert x is not None and isinstance(x.qparams, QParams)
        assert isinstance(x.payload, Carried)
        wanted = operand_qparams(x, wanted, self.plan)
        ratio = x.qparams.scale / wanted.scale
        return _at(x, wanted, dyadic(ratio, x.qparams.bound.bit_length() + 1))

    def coarser(self, site: str, x: QTensor, qparams: QParams) -> QTensor:
        """See the base class."""
        assert isinstance(x.qparams, QParams)
        return _at(x, qparams, Dyadic(1, shifted_away(x.qparams)))


def _at(x: QTensor, wanted: QParams, factor: Dyadic) -> QTensor:
    """A carried tensor at another scale, saturated."""
    assert isinstance(x.qparams, QParams) and isinstance(x.payload, Carried)
    wide = requantize(integers_of(x).payload, factor)
    ratio = x.qparams.scale / wanted.scale
    numbers = Requantized.apply(x.payload.numbers, wide, ratio, wanted)
    return QTensor(Carried.wrap(numbers), wanted, x.source)


def factors_by_name(
    plan: RegionPlan, integers: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The factors of the weights that have groups, float64, of their shapes.

    Args:
        plan: The region's plan.
        integers: Integer parameters by name.
    """
    groups = {n: plan.parameters[n].group for n in integers}
    return {n: factors_of(integers[n], group) for n, group in groups.items() if group}


def integers_of(x: QTensor) -> QTensor:
    """A carried tensor in the narrowest type of integers, without a graph."""
    assert isinstance(x.payload, Carried)
    if isinstance(x.qparams, WeightQParams):
        low, high = -x.qparams.bound, x.qparams.bound
    else:
        assert isinstance(x.qparams, QParams)
        low, high = x.qparams.qmin, x.qparams.qmax
    return x.like(x.payload.numbers.detach().to(storage_dtype(low, high)))


def _carried(x: QTensor) -> QTensor:
    return x.like(Carried.wrap(x.payload.float()))


def _grid(qparams: QParams | WeightQParams, value: Tensor) -> tuple[Tensor, int, int]:
    """Scales that broadcast to a parameter, and the range of its integers."""
    if isinstance(qparams, WeightQParams):
        return qparams.grid(value), -qparams.bound, qparams.bound
    scale = torch.tensor(qparams.scale, dtype=torch.float64, device=value.device)
    return scale, qparams.qmin, qparams.qmax
