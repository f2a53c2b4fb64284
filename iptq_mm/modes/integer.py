"""Integers: the quantized model itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from ..functions import Constants
from ..intmath import QParams
from ..intmath.dyadic import Dyadic, dyadic, requantize
from ..operations import NonLinear, Operation
from ..out_of_range import (
    FIT_HIGH,
    FIT_LOW,
    OutOfRangeLog,
    fit_name,
    see_image,
    see_input,
)
from ..pixels import Pixels
from ..plan import RegionPlan, SitePlan
from ..qtensor import QTensor
from ..qtensor.channel_shifts import shifted_away
from ..qtensor.context import current_location
from ..qtensor.errors import unsupported
from .base import FIRST, PIXELS, Mode, operand_qparams, quantized_constant
from .blocks import in_blocks
from .inputs.given import IntegerInputs
from .shared_integers import integers_for_consumer, share_integers
from .site_constants import SiteConstants


class Integer(IntegerInputs, Mode):
    """Runs a region by its plan, in integers between :meth:`enter` and :meth:`leave`.

    Args:
        plan: The region's plan.
        constants: Constants of this plan to share; None: new ones.

    Attributes:
        plan: The region's plan.
        log: Counts the values that are clipped; None: nothing is counted.
        constants: Constants that were computed from plan and parameters.
    """

    trains = False

    def __init__(
        self, plan: RegionPlan, constants: SiteConstants | None = None
    ) -> None:
        self.plan, self.channel_shifts = plan, plan.channel_shifts
        self.log: OutOfRangeLog | None = None
        self.constants = SiteConstants(plan) if constants is None else constants

    def __reduce__(self) -> tuple:
        """A copy computes its constants anew: they are much larger than the plan."""
        return type(self), (self.plan,)

    def enter(self, name: str, value: Tensor) -> QTensor:
        """Quantize an input of the region."""
        qparams = self.planned_input(name)
        integers = integers_for_consumer(value, qparams)
        if self.log is not None:
            self._see_rows(name, value)
            if not (name == PIXELS and self.plan.pixels):
                see_input(self.log, name, value, qparams, integers is not None)
        if integers is None:
            integers = qparams.quantize(value)
        return QTensor(integers, qparams, name)

    def planned_input(self, name: str) -> QParams:
        """The quantizer of an input of the region.

        Raises:
            UnsupportedOperationError: If the plan has no such input.
        """
        if name not in self.plan.inputs:
            raise unsupported(
                f'{name} was not seen in calibration, so it has no scale',
                'calibrate with calls of every kind that is used',
            )
        return self.plan.inputs[name]

    def enter_image(self, name: str, image: Tensor, pixels: Pixels) -> QTensor:
        """See the base class."""
        if self.log is not None:
            see_image(self.log, name, image, pixels)
        return super().enter_image(name, image, pixels)

    def _see_rows(self, name: str, value: Tensor) -> None:
        """Count the rows of a call, once."""
        if self.log is not None and name == FIRST:
            rows = len(value) if value.dim() else 1
            self.log.rows += rows
            self.log.counted += rows

    def parameter(self, name: str, value: nn.Parameter) -> QTensor:
        """Integers of a parameter.

        Raises:
            UnsupportedOperationError: If something put floats in their place.
        """
        if value.is_floating_point():
            raise unsupported(
                f"parameter '{name}' holds floats, not its integers: something "
                'replaced or converted it after quantization',
                'build the model from integer.py again',
            )
        qparams = self.constants.parameter(name, value)
        return QTensor(value.detach(), qparams, f'parameter:{name}', constant=True)

    def leave(self, value: QTensor) -> Tensor:
        """See the base class; contiguous, as from every back end.

        Sums of floats after the region depend on how their inputs lie in memory.
        """
        real = super().leave(value).contiguous()
        assert isinstance(value.qparams, QParams)
        return share_integers(real, value.payload, value.qparams)

    def hand_out(self, value: QTensor) -> Tensor:
        """See the base class; contiguous, as from every back end."""
        return super().leave(value).contiguous()

    def constant(self, value: Tensor) -> QTensor:
        """See the base class."""
        return quantized_constant(value.float(), 'constant')

    def fold(self, func: Any, args: tuple, kwargs: dict) -> Any:
        """See the base class; the constants of each image size are kept."""
        location = current_location()
        assert location is not None
        fold = super().fold
        return self.constants.folded.get(
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
        site, plan = self.planned(operation)
        operands = self.wanted_operands(site, plan, inputs)
        constants = self.constants.of_site(site, plan, operation, operands, attributes)
        payload = self._computed(site, plan, operation, operands, constants, attributes)
        return QTensor(payload, plan.output, site)

    def wanted_operands(
        self, site: str, plan: SitePlan, inputs: Sequence[QTensor | None]
    ) -> list[QTensor | None]:
        """The operands of a site, requantized and shifted as the plan says."""
        operands = list(inputs)
        for position, wanted in plan.inputs.items():
            operands[position] = self._requantize_to(site, operands[position], wanted)
        return list(self.operands(site, operands))

    def coarser(self, site: str, x: QTensor, qparams: QParams) -> QTensor:
        """See the base class."""
        assert isinstance(x.qparams, QParams)
        factor = Dyadic(1, shifted_away(x.qparams))
        payload = self._requantized('', x.payload, factor, qparams)
        return QTensor(payload, qparams, x.source)

    def planned(self, operation: Operation) -> tuple[str, SitePlan]:
        """Name and plan of the next site of the running module.

        Raises:
            UnsupportedOperationError: If the plan has no such site.
        """
        site = self.next_site(operation)
        plan = self.plan.sites.get(site)
        if plan is None or plan.operation != operation.kind:
            raise unsupported(
                f"site '{site}' was not seen in calibration, so it has no scale",
                'calibrate with images of every kind that is used',
            )
        return site, plan

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
                if self.log is not None and FIT_LOW in constants:
                    fit = constants[FIT_LOW], constants[FIT_HIGH]
                    self.log.at(fit_name(site)).see(block[0], *fit)
                wide = self.constants.function(site, plan).integer(block[0], constants)
            else:
                wide = operation.integer(block, constants, attributes)
            return self._stored(site, wide, plan.output)

        payloads: list[Any] = [None if x is None else x.payload for x in operands]
        return in_blocks(operation.kind, payloads, compute)

    def _stored(self, site: str, wide: Tensor, out: QParams) -> Tensor:
        """Saturate, count, and keep in the narrowest type; no name: not counted."""
        if self.log is not None and site:
            self.log.at(site).see(wide, out.qmin, out.qmax)
        return out.saturate(wide)

    def _requantize_to(self, site: str, x: QTensor | None, wanted: QParams) -> QTensor:
        """An operand requantized to what the site wants."""
        assert x is not None and isinstance(x.qparams, QParams)
        wanted = operand_qparams(x, wanted, self.plan)
        bits = x.qparams.bound.bit_length() + 1
        factor = dyadic(x.qparams.scale / wanted.scale, bits)
        # What parameters clip does not depend on the images.
        name = '' if x.constant else f'{site}<-{x.source}'
        payload = self._requantized(name, x.payload, factor, wanted)
        return QTensor(payload, wanted, x.source)

    def _requantized(
        self, name: str, payload: Tensor, factor: Dyadic, wanted: QParams
    ) -> Tensor:
        """The integers of an operand at another scale, saturated."""
        return self._stored(name, requantize(payload, factor), wanted)
