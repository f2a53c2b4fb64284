"""The mode of the phase recalibrate: the plan in floats, its values observed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from torch import Tensor, nn

from ....functions import Constants, function_name
from ....intmath import QParams
from ....modes.base import Mode, operand_qparams
from ....modes.blocks import in_blocks
from ....modes.fake import rounded_parameter
from ....operations import NonLinear, Operation, SiteInputs
from ....plan import RegionPlan
from ....qtensor import QTensor
from ....qtensor.channel_shifts import dropped_bits
from ....record import Prepared, RegionRecord
from ....registry import FUNCTIONS


class Recalibrating(Mode):
    """Runs a plan in floats, and observes values before they are rounded.

    Weights are rounded to the nearest integers of the plan's scales, values to their
    quantizers, and non-linear sites compute with the integer functions of the plan. So
    each site gets what it will get in the integer model, but for the second-order
    effects of a better rounding of the weights. What is observed is the result of a
    site *before* it saturates.

    The constants of a function are always made anew, for the quantizer with which its
    input arrives: those of the plan may be for other ranges.

    Args:
        plan: Quantizers of all values, and the functions.
        record: Statistics of the inputs, to which functions are fitted.
        values: Sites and inputs that are observed.

    Attributes:
        found: Statistics of the observed values, and constants of the functions.
    """

    def __init__(
        self, plan: RegionPlan, record: RegionRecord, values: Collection[str]
    ) -> None:
        self.plan, self.channel_shifts = plan, plan.channel_shifts
        self.found = RegionRecord()
        self._record, self._values = record, values
        self._functions = {
            site: FUNCTIONS.build(dict(p.function))
            for site, p in plan.sites.items()
            if p.function
        }
        self._constants: dict[tuple[str, int, QParams], Constants] = {}
        self._parameters: dict[str, QTensor] = {}

    def enter(self, name: str, value: Tensor) -> QTensor:
        """Observe and round an input of the region."""
        self._see(name, value)
        qparams = self.plan.inputs[name]
        return QTensor(rounded(value, qparams), qparams, name)

    def parameter(self, name: str, value: nn.Parameter) -> QTensor:
        """A parameter, rounded; it is made once, since heads run many times."""
        if name not in self._parameters:
            made = rounded_parameter(self.plan, name, value.detach())
            self._parameters[name] = made
        made = self._parameters[name]
        return QTensor(made.payload, made.qparams, made.source, constant=True)

    def run(
        self,
        operation: Operation,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> QTensor:
        """Compute a site; observe the result and round it."""
        site = self.next_site(operation)
        plan = self.plan.sites[site]
        brought = list(inputs)
        for position, wanted in plan.inputs.items():
            x = inputs[position]
            assert x is not None
            qparams = operand_qparams(x, wanted, self.plan)
            brought[position] = QTensor(rounded(x.payload, qparams), qparams, x.source)
        operands = self.operands(site, brought)
        if isinstance(operation, NonLinear):
            value = self._approximated(site, operation, operands, attributes)
        else:
            payloads = [None if x is None else x.payload for x in operands]
            value = operation.real(payloads, attributes)
        self._see(site, value)
        return QTensor(rounded(value, plan.output), plan.output, site)

    def coarser(self, site: str, x: QTensor, qparams: QParams) -> QTensor:
        """See the base class; rounded."""
        return dropped_bits(x, qparams, rounded=True)

    def _see(self, name: str, value: Tensor) -> None:
        if name in self._values:
            self.found.see_value(name, value)

    def _approximated(
        self,
        site: str,
        operation: NonLinear,
        operands: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> Tensor:
        """The result of the function of a site, not saturated, as real values."""
        x = operands[0]
        assert x is not None and isinstance(x.qparams, QParams)
        constants = self._constants_for(site, operation, operands, attributes)
        integers = x.qparams.quantize(x.payload)
        function = self._functions[site]
        wide = in_blocks(
            operation.kind,
            [integers],
            lambda block: function.integer(block[0], constants),  # type: ignore
        )
        return self.plan.sites[site].output.dequantize(wide)

    def _constants_for(
        self,
        site: str,
        operation: NonLinear,
        operands: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> Constants:
        """The constants of a function for these operands.

        Raises:
            ValueError: If the function cannot serve the new ranges; names the site.
            OverflowError: If a constant does not fit its type; names the site.
        """
        x = operands[0]
        assert x is not None and isinstance(x.qparams, QParams)
        payloads = [None if i is None else i.payload for i in operands]
        terms = operation.terms(payloads, attributes)
        key = site, terms, x.qparams
        if key in self._constants:
            return self._constants[key]
        plan = self.plan.sites[site]
        known = SiteInputs(payloads, [x.qparams], plan.output, attributes, terms)
        seen = self._record.values.get(x.source)
        try:
            made = self._functions[site].prepare(operation.function_site(known, seen))
        except (OverflowError, ValueError) as error:
            raise type(error)(
                f"site '{site}': {plan.function} cannot serve the ranges of the "
                f'model that runs the chosen functions ({error}); leave out '
                'quantization.calibration.recalibrate, or take it out of the candidates'
            ) from error
        if operation.saved:
            prepared = Prepared(input=x.qparams.to_dict(), constants=made)
            name = function_name(plan.function or {})
            self.found.keep_constants(site, name, prepared)
        device = x.payload.device
        constants = self._constants[key] = {
            k: v.to(device) if isinstance(v, Tensor) else v for k, v in made.items()
        }
        return constants


def rounded(x: Tensor, qparams: QParams) -> Tensor:
    """Real values on the grid of a quantizer, saturated."""
    if qparams.levels is not None:
        return qparams.dequantize(qparams.quantize(x))
    q = x.detach() / qparams.scale  # the only copy
    return q.round_().clamp_(qparams.qmin, qparams.qmax).mul_(qparams.scale)
