"""Float values; every non-linear site tries each candidate function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from ..criteria import CandidateErrors
from ..functions import Constants, IntegerFunction
from ..intmath import QParams
from ..operations import NonLinear, Operation, SiteInputs
from ..plan import RegionPlan
from ..qtensor import QTensor
from ..record import RegionRecord
from .base import FloatMode

#: Why a candidate cannot serve a site.
Refusal = str


class Analysing(FloatMode):
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
    """

    def __init__(
        self,
        plan: RegionPlan,
        candidates: Mapping[str, Mapping[str, IntegerFunction]],
        record: RegionRecord,
        narrow: Callable[[str, int], QParams],
        cost: Callable[[IntegerFunction, int], float],
    ) -> None:
        self.plan = plan
        self.candidates = candidates
        self.record = record
        self.refused: dict[str, dict[str, Refusal]] = {}
        self._narrow = narrow
        self._cost = cost
        self._constants: dict[tuple[str, str], tuple[QParams, Constants]] = {}

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
        out = self.plan.sites[site].output
        if isinstance(operation, NonLinear):
            for name, function in self.candidates[operation.kind].items():
                if name not in self.refused.get(site, {}):
                    self._try(
                        site, name, function, operation, inputs, attributes, value
                    )
        return QTensor(value, out, site)

    def _try(
        self,
        site: str,
        name: str,
        function: IntegerFunction,
        operation: NonLinear,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
        value: Tensor,
    ) -> None:
        """Add the errors of one candidate."""
        x, out = inputs[0], self.plan.sites[site].output
        assert x is not None
        if (site, name) not in self._constants:
            qparams = self._input(x, function)
            real = [None if i is None else i.payload for i in inputs]
            terms = operation.signature(real, attributes)
            known = SiteInputs(real, [qparams], out, attributes, terms, function)
            try:
                constants = function.prepare(
                    operation.function_site(known, self.record.values.get(x.source))
                )
            except (ValueError, OverflowError) as error:
                self.refused.setdefault(site, {})[name] = str(error)
                return
            self._constants[site, name] = qparams, constants
            if operation.saved:
                self.record.constants.setdefault(site, {})[name] = constants
        qparams, constants = self._constants[site, name]
        q = qparams.quantize(x.payload)
        result = function.integer(q, constants).clamp(out.qmin, out.qmax)
        errors = self.record.candidates.setdefault(site, {}).setdefault(
            name, CandidateErrors(cost=self._cost(function, x.payload.shape[-1]))
        )
        errors.add_batch(
            value,
            out.dequantize(result),
            x.payload,
            qparams.dequantize(q),
            images=self.images,
        )

    def _input(self, x: QTensor, function: IntegerFunction) -> QParams:
        """Quantizer of the input as this function would get it."""
        qparams = x.qparams
        assert isinstance(qparams, QParams)
        made = self.plan.inputs.get(x.source) or self.plan.sites[x.source].output
        if made.bits <= function.max_input_bits:
            return qparams
        narrow = self._narrow(x.source, function.max_input_bits)
        # Between its making and this site, the value may have been scaled.
        factor = qparams.scale / made.scale
        return QParams(narrow.scale * factor, narrow.qmin, narrow.qmax)
