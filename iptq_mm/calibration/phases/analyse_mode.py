"""The mode of the phase analyse: float values, on which sites try their candidates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ...criteria import CandidateErrors
from ...criteria.powers import by_image, powers, squares
from ...functions import Constants, IntegerFunction
from ...intmath import QParams
from ...modes.base import operand_qparams
from ...operations import NonLinear, Operation, SiteInputs
from ...plan import RegionPlan
from ...qtensor import QTensor
from ...record import Prepared, RegionRecord
from ..backward import Differentiating, Saved
from ..sampling import spread_rows
from .analysed.candidate_values import CandidateValues


@dataclass
class Visit:
    """One call of a non-linear site, as its candidates get it.

    Attributes:
        site: Name of the site.
        operation: Its operation.
        inputs: Its operands; rows of the first one are sampled.
        attributes: Arguments of the operation.
        value: Its float output, the same rows.
        elements: Elements of the whole output.
        gradients: Of the region's outputs with respect to these rows, by draw.
        quantized: The first operand in integers, by quantizer.
    """

    site: str
    operation: NonLinear
    inputs: Sequence[QTensor | None]
    attributes: dict[str, Any]
    value: Tensor
    elements: int
    gradients: list[Tensor] = field(default_factory=list)
    quantized: dict[QParams, QTensor] = field(default_factory=dict)

    @property
    def x(self) -> QTensor:
        """The first operand."""
        x = self.inputs[0]
        assert x is not None
        return x

    @property
    def qparams(self) -> QParams:
        """Its quantizer."""
        assert isinstance(self.x.qparams, QParams)
        return self.x.qparams


class Analysing(Differentiating):
    """Adds up the errors of all candidates in one pass, and keeps sums only.

    Every candidate sees the float input of the site, quantized as the plan
    has it, so that the order of decisions plays no role.

    Args:
        plan: Quantizers of all values; functions are not chosen yet.
        candidates: By operation kind, the functions by name.
        record: Where the errors go.
        narrow: Gives the quantizer of a value at fewer bits, for functions
            that need it.
        cost: Operations of a function as one number, for a row length.
        draws: See :class:`~iptq_mm.calibration.backward.Differentiating`; 0: what
            errors do to the region's outputs is not looked at.
        saved: See the same.

    Attributes:
        given: By site, the only candidate by name, where overrides name a function.
        values: Computes candidates.
    """

    def __init__(
        self,
        plan: RegionPlan,
        candidates: Mapping[str, Mapping[str, IntegerFunction]],
        record: RegionRecord,
        narrow: Callable[[str, int], QParams],
        cost: Callable[[IntegerFunction, int], float],
        draws: int = 0,
        saved: Saved | None = None,
    ) -> None:
        super().__init__(draws, saved)
        self.plan, self.channel_shifts = plan, plan.channel_shifts
        self.candidates = candidates
        self.given: Mapping[str, Mapping[str, IntegerFunction]] = {}
        self.record = record
        self.values = CandidateValues()
        self._narrow = narrow
        self._cost = cost
        self._constants: dict[tuple[str, str, QParams], tuple[QParams, Constants]] = {}
        self._waiting: list[Visit] = []

    def enter(self, name: str, value: Tensor) -> QTensor:
        """See the base class."""
        x = super().enter(name, value)
        x.qparams = self.plan.inputs[name]
        return x

    def run(
        self,
        operation: Operation,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> QTensor:
        """See the base class."""
        site = self.next_site(operation)
        value = self.compute(site, operation, inputs, attributes)
        if isinstance(operation, NonLinear):
            x = inputs[0]
            assert x is not None
            images = self.images
            length = max(1, value.shape[-1])
            self.record.see_rows(site, value.numel() // images // length, length)
            seen = [x.like(spread_rows(x.payload, images)), *inputs[1:]]
            real, elements = spread_rows(value, images), value.numel()
            visit = Visit(site, operation, seen, attributes, real, elements)
            if self.draws:
                self._waiting.append(visit)
                self.watch(
                    value, lambda g: visit.gradients.append(spread_rows(g, images))
                )
            else:
                self._try_all(visit)
        return QTensor(value, self.plan.sites[site].output, site)

    def finish(self) -> None:
        """See the base class; the candidates are tried once the gradients are in."""
        visits, self._waiting = self._waiting[::-1], []
        super().finish()
        while visits:
            visit = visits.pop()  # its values are needed no more
            if not visit.gradients:  # no output depends on this site
                visit.gradients = [torch.zeros_like(visit.value)] * self.draws
            self._try_all(visit)

    @torch.no_grad()
    def _try_all(self, visit: Visit) -> None:
        """Add the errors of all candidates of a site."""
        kept = self.record.candidates.setdefault(visit.site, {})
        real = self._channels_shifted(visit.site, visit.x).payload
        # Before a function narrows it: what narrowing loses is the function's error.
        arrived = self._quantized(visit, visit.qparams).real_values()
        entered = by_image(real, arrived, self.images)
        signal = squares(visit.value, self.images)
        known = self.given.get(visit.site) or self.candidates[visit.operation.kind]
        for name, function in known.items():
            made = self._made(visit, name, function)
            if made is None:
                continue
            errors = CandidateErrors(cost=self._cost(function, visit.value.shape[-1]))
            error = self.candidate(visit, function, *made).sub_(visit.value)
            left = powers(signal, squares(error, self.images))
            errors.add_powers(left, entered, visit.value.numel(), visit.elements)
            if visit.gradients:
                errors.add_gradients(
                    error, visit.gradients, self.images, visit.elements
                )
            if name in kept:
                kept[name].merge(errors)
            else:
                kept[name] = errors

    def candidate(
        self,
        visit: Visit,
        function: IntegerFunction,
        qparams: QParams,
        constants: Constants,
    ) -> Tensor:
        """The output of a candidate, as real values."""
        operands = [self._quantized(visit, qparams), *visit.inputs[1:]]
        site, out = visit.site, self.plan.sites[visit.site].output
        return self.values(
            site,
            visit.operation,
            function,
            operands,
            visit.attributes,
            constants,
            out,
        )

    def _quantized(self, visit: Visit, qparams: QParams) -> QTensor:
        """The first operand in integers, as the operation gets it."""
        if qparams not in visit.quantized:
            x = QTensor(qparams.quantize(visit.x.payload), qparams)
            visit.quantized[qparams] = self._channels_shifted(visit.site, x)
        return visit.quantized[qparams]

    def _channels_shifted(self, site: str, x: QTensor) -> QTensor:
        """The first operand of a site as its operation gets it."""
        (operand,) = self.operands(site, [x])
        assert operand is not None
        return operand

    def _made(
        self, visit: Visit, name: str, function: IntegerFunction
    ) -> tuple[QParams, Constants] | None:
        """Input quantizer and constants of a candidate; None if it cannot serve."""
        if name in self.record.refused.get(visit.site, {}):
            return None
        key = visit.site, name, visit.qparams
        if key not in self._constants:
            try:
                made = self._prepare(visit, function)
            except (ValueError, OverflowError) as error:
                refused = self.record.refused.setdefault(visit.site, {})
                refused[name] = str(error)
                return None
            self._constants[key] = made
            if visit.operation.saved:
                prepared = Prepared(input=made[0].to_dict(), constants=made[1])
                self.record.keep_constants(visit.site, name, prepared)
        return self._constants[key]

    def _prepare(
        self, visit: Visit, function: IntegerFunction
    ) -> tuple[QParams, Constants]:
        """Quantizer of the input, before powers, and constants of a candidate."""
        qparams, operation = self._input(visit.x, function), visit.operation
        x = self._channels_shifted(visit.site, QTensor(visit.x.payload, qparams))
        real = [None if i is None else i.payload for i in (x, *visit.inputs[1:])]
        terms = operation.terms(real, visit.attributes)
        out = self.plan.sites[visit.site].output
        known = SiteInputs(real, [x.qparams], out, visit.attributes, terms, function)
        seen = self.record.values.get(visit.x.source)
        return qparams, function.prepare(operation.function_site(known, seen))

    def _input(self, x: QTensor, function: IntegerFunction) -> QParams:
        """Quantizer of the input as this function would get it."""
        qparams = x.qparams
        assert isinstance(qparams, QParams)
        made = self.plan.inputs.get(x.source) or self.plan.sites[x.source].output
        if made.bits <= function.max_input_bits:
            return qparams
        narrow = self._narrow(x.source, function.max_input_bits)
        return operand_qparams(x, narrow, self.plan)
