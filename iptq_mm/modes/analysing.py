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
from ..record import Prepared, RegionRecord
from .base import FloatMode, wanted_of
from .blocks import in_blocks

#: Elements of an image that the candidates of a site are tried on. A detector's
#: first stages have tens of millions; evenly spread rows tell the same.
MAX_ELEMENTS = 2**19


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
        self._narrow = narrow
        self._cost = cost
        self._constants: dict[tuple[str, str, QParams], tuple[QParams, Constants]] = {}

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
            x = inputs[0]
            assert x is not None
            seen = x.like(self._spread(x.payload))
            real = self._spread(value)
            for name in self.candidates[operation.kind]:
                self._try(
                    site,
                    name,
                    operation,
                    [seen, *inputs[1:]],
                    attributes,
                    real,
                    value.numel(),
                )
        return QTensor(value, out, site)

    def _spread(self, x: Tensor) -> Tensor:
        """Evenly spread rows of each image, shape (images, rows, row length)."""
        rows = x.reshape(self.images, -1, x.shape[-1])
        keep = max(1, MAX_ELEMENTS // x.shape[-1])
        return rows[:, :: -(-rows.shape[1] // keep)]

    def _try(
        self,
        site: str,
        name: str,
        operation: NonLinear,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
        value: Tensor,
        elements: int,
    ) -> None:
        """Add the errors of one candidate."""
        if name in self.record.refused.get(site, {}):
            return
        x, function = inputs[0], self.candidates[operation.kind][name]
        assert x is not None
        assert isinstance(x.qparams, QParams)
        key = site, name, x.qparams
        if key not in self._constants:
            try:
                made = self._prepare(site, x, function, operation, inputs, attributes)
            except (ValueError, OverflowError) as error:
                self.record.refused.setdefault(site, {})[name] = str(error)
                return
            self._constants[key] = made
            if operation.saved:
                prepared = Prepared(input=made[0].to_dict(), constants=made[1])
                self.record.keep_constants(site, name, prepared)
        qparams, constants = self._constants[key]
        constants = {
            k: v.to(x.payload.device) if isinstance(v, Tensor) else v
            for k, v in constants.items()
        }
        out = self.plan.sites[site].output
        q = qparams.quantize(x.payload)
        result = in_blocks(
            operation.kind,
            [q],
            lambda block: function.integer(block[0], constants).clamp(  # type: ignore
                out.qmin, out.qmax
            ),
        )
        errors = CandidateErrors(cost=self._cost(function, x.payload.shape[-1]))
        errors.add_batch(
            value,
            out.dequantize(result),
            x.payload,
            qparams.dequantize(q),
            self.images,
            elements,
        )
        candidates = self.record.candidates.setdefault(site, {})
        if name in candidates:
            candidates[name].merge(errors)
        else:
            candidates[name] = errors

    def _prepare(
        self,
        site: str,
        x: QTensor,
        function: IntegerFunction,
        operation: NonLinear,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> tuple[QParams, Constants]:
        """Quantizer of the input and constants of a candidate at a site."""
        qparams = self._input(x, function)
        real = [None if i is None else i.payload for i in inputs]
        terms = operation.signature(real, attributes)
        out = self.plan.sites[site].output
        known = SiteInputs(real, [qparams], out, attributes, terms, function)
        seen = self.record.values.get(x.source)
        return qparams, function.prepare(operation.function_site(known, seen))

    def _input(self, x: QTensor, function: IntegerFunction) -> QParams:
        """Quantizer of the input as this function would get it."""
        qparams = x.qparams
        assert isinstance(qparams, QParams)
        made = self.plan.inputs.get(x.source) or self.plan.sites[x.source].output
        if made.bits <= function.max_input_bits:
            return qparams
        narrow = self._narrow(x.source, function.max_input_bits)
        return wanted_of(x, narrow, self.plan)
