"""Integers: the quantized model itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..functions import Constants, IntegerFunction
from ..intmath import QParams, storage_dtype
from ..intmath.dyadic import Dyadic, dyadic, requantize
from ..operations import TRANSPOSED, NonLinear, Operation, SiteInputs
from ..plan import ParameterPlan, RegionPlan, SitePlan
from ..qtensor import QTensor, UnsupportedOperationError, WeightQParams
from ..qtensor.context import current_location, describe_location
from ..registry import FUNCTIONS
from .base import Mode, operand_qparams, quantized_constant
from .blocks import in_blocks
from .folding import FoldedConstants
from .shared_integers import integers_for_consumer, share_integers

#: Input sizes whose constants are kept: images of ever new ones must not fill the
#: memory.
_MOST_SIZES = 32


@dataclass
class Saturation:
    """How many values of a site fell outside its range.

    Attributes:
        saturated: Values that were clipped.
        total: Values seen.
    """

    saturated: int = 0
    total: int = 0


class Integer(Mode):
    """Runs the plan. Between :meth:`enter` and :meth:`leave` all is integer.

    Attributes:
        plan: The region's plan.
        saturation: By site, while counting is switched on.
    """

    trains = False

    def __init__(self, plan: RegionPlan) -> None:
        self.plan, self.channel_shifts = plan, plan.channel_shifts
        self.saturation: dict[str, Saturation] | None = None
        self._constants: dict[tuple, Constants] = {}
        self._functions: dict[str, IntegerFunction] = {}
        self._parameters = {n: _qparams(p) for n, p in plan.parameters.items()}
        self._folded = FoldedConstants()
        self._versions: dict[str, tuple[int, int]] = {}

    def __reduce__(self) -> tuple:
        """A copy makes its constants anew, they are many times as large as the plan."""
        return type(self), (self.plan,)

    def enter(self, name: str, value: Tensor) -> QTensor:
        """Quantize an input of the region."""
        if name not in self.plan.inputs:
            raise UnsupportedOperationError(
                f'{describe_location()}: {name} was not seen in calibration'
            )
        qparams = self.plan.inputs[name]
        integers = integers_for_consumer(value, qparams)
        if integers is None:
            integers = qparams.quantize(value)
        return QTensor(integers, qparams, name)

    def parameter(self, name: str, value: nn.Parameter) -> QTensor:
        """Integers of a parameter.

        Raises:
            UnsupportedOperationError: If something put floats in their place.
        """
        if value.is_floating_point():
            raise UnsupportedOperationError(
                f"{describe_location()}: parameter '{name}' holds floats, not its "
                'integers: something replaced or converted it after quantization; '
                'build the model from integer.py again'
            )
        version = (value.data_ptr(), 0 if value.is_inference() else value._version)
        if self._versions.setdefault(name, version) != version:
            # Other integers were loaded: what was made of the old ones is void.
            self._versions[name] = version
            self._constants.clear()
            self._folded.clear()
        qparams = self._parameters[name]
        return QTensor(value.detach(), qparams, f'parameter:{name}', constant=True)

    def leave(self, value: QTensor) -> Tensor:
        """See the base class; contiguous, as from every back end.

        Sums of floats after the region depend on how their inputs lie in memory.
        """
        real = super().leave(value).contiguous()
        assert isinstance(value.qparams, QParams)
        return share_integers(real, value.payload, value.qparams)

    def constant(self, value: Tensor) -> QTensor:
        """See the base class."""
        return quantized_constant(value.float(), 'constant')

    def fold(self, func: Any, args: tuple, kwargs: dict) -> Any:
        """See the base class; the constants of each image size are kept."""
        location = current_location()
        assert location is not None
        fold = super().fold
        return self._folded.get(
            location.next_site('constant'),
            func,
            (args, kwargs),
            lambda: fold(func, args, kwargs),
        )

    def folded(self, value: Tensor, source: str) -> QTensor:
        """See the base class."""
        return quantized_constant(value, source)

    def run(
        self,
        operation: Operation,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> QTensor:
        """Compute a site with its constants."""
        site = self.next_site(operation)
        plan = self.plan.sites.get(site)
        if plan is None or plan.operation != operation.kind:
            raise UnsupportedOperationError(
                f"{describe_location()}: site '{site}' was not seen in calibration, so "
                'it has no scale; calibrate with images of every kind that is used'
            )
        operands = list(inputs)
        for position, wanted in plan.inputs.items():
            operands[position] = self._requantize_to(site, operands[position], wanted)
        operands = list(self.operands(site, operands))
        constants = self._prepared(site, plan, operation, operands, attributes)
        payload = self._computed(site, plan, operation, operands, constants, attributes)
        return QTensor(payload, plan.output, site)

    def _computed(
        self,
        site: str,
        plan: SitePlan,
        operation: Operation,
        operands: Sequence[QTensor | None],
        constants: Constants,
        attributes: dict[str, Any],
    ) -> Tensor:
        """The integers of a site, saturated."""

        def compute(block: Sequence[Any]) -> Tensor:
            if isinstance(operation, NonLinear):
                wide = self._function(site, plan).integer(block[0], constants)
            else:
                wide = operation.integer(block, constants, attributes)
            return self._stored(site, wide, plan.output)

        payloads: list[Any] = [None if x is None else x.payload for x in operands]
        return in_blocks(operation.kind, payloads, compute)

    def _stored(self, site: str, wide: Tensor, out: QParams) -> Tensor:
        """Saturate, count, and keep in the narrowest type."""
        if self.saturation is not None:
            seen = self.saturation.setdefault(site, Saturation())
            seen.saturated += _outside(wide, out)
            seen.total += wide.numel()
        return wide.clamp(out.qmin, out.qmax).to(storage_dtype(out.qmin, out.qmax))

    def _requantize_to(self, site: str, x: QTensor | None, wanted: QParams) -> QTensor:
        """An operand requantized to what the site wants."""
        assert x is not None and isinstance(x.qparams, QParams)
        wanted = operand_qparams(x, wanted, self.plan)
        bits = x.qparams.bound.bit_length() + 1
        factor = dyadic(x.qparams.scale / wanted.scale, bits)
        payload = self._requantized(f'{site}<-{x.source}', x.payload, factor, wanted)
        return QTensor(payload, wanted, x.source)

    def _requantized(
        self, name: str, payload: Tensor, factor: Dyadic, wanted: QParams
    ) -> Tensor:
        """The integers of an operand at another scale, saturated."""
        return self._stored(name, requantize(payload, factor), wanted)

    def _function(self, site: str, plan: SitePlan) -> IntegerFunction:
        """The integer function of a non-linear site."""
        if site not in self._functions:
            self._functions[site] = FUNCTIONS.build(dict(plan.function or {}))
        return self._functions[site]

    def _prepared(
        self,
        site: str,
        plan: SitePlan,
        operation: Operation,
        operands: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> Constants:
        """The constants of a site, made at its first call."""
        payloads = [None if x is None else x.payload for x in operands]
        qparams = [None if x is None else x.qparams for x in operands]
        device = payloads[0].device  # type: ignore[union-attr]
        terms = operation.terms(payloads, attributes)
        key = (site, terms, device, *qparams)
        constants = self._constants.get(key)
        if constants is None:
            function = None
            if isinstance(operation, NonLinear):
                function = self._function(site, plan)
            inputs = SiteInputs(
                payloads,
                qparams,
                plan.output,
                attributes,
                terms,
                function,
                plan.constants_for(qparams[0]),
            )
            try:
                made = operation.prepare(inputs)
            except (OverflowError, ValueError) as error:
                raise type(error)(f"site '{site}': {error}") from error
            if len(self._constants) >= _MOST_SIZES * len(self.plan.sites):
                self._constants.clear()
            constants = self._constants[key] = {
                k: v.to(device) if isinstance(v, Tensor) else v for k, v in made.items()
            }
        return constants


def _outside(wide: Tensor, out: QParams) -> int:
    """How many values lie outside the range. Most tensors have none: look first."""
    if not wide.numel():
        return 0
    low, high = torch.aminmax(wide)
    if out.qmin <= int(low) and int(high) <= out.qmax:
        return 0
    return int(((wide < out.qmin) | (wide > out.qmax)).sum())


def _qparams(plan: ParameterPlan) -> QParams | WeightQParams:
    if isinstance(plan.scale, list):
        return WeightQParams(plan.scales(), plan.bound, plan.role == TRANSPOSED)
    return QParams(plan.scale, -plan.bound, plan.bound)
