"""Constants of the sites of a region, computed once and kept."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from torch import Tensor, nn

from ..functions import Constants, IntegerFunction
from ..intmath import QParams
from ..operations import TRANSPOSED, NonLinear, Operation, SiteInputs
from ..plan import ParameterPlan, RegionPlan, SitePlan
from ..qtensor import QTensor, WeightQParams
from ..registry import FUNCTIONS
from .folding import FoldedConstants

#: Input sizes whose constants are kept: images of ever new sizes must not fill the
#: memory.
_MOST_SIZES = 32


class SiteConstants:
    """Constants, functions and quantizers that integer mode computes once and keeps.

    They depend on the plan and the parameters. Integer mode and its tracing share one
    object: a constant that one of them has computed serves both. All of it can be
    computed anew, so a copy of a model begins without it. If other integers are loaded
    into a parameter, constants and folded results are dropped.

    Args:
        plan: The region's plan.

    Attributes:
        folded: Results of expressions of parameters only.
    """

    def __init__(self, plan: RegionPlan) -> None:
        self.folded = FoldedConstants()
        self._parameters = {n: _qparams(p) for n, p in plan.parameters.items()}
        self._versions: dict[str, tuple[int, int]] = {}
        self._functions: dict[str, IntegerFunction] = {}
        self._constants: dict[tuple, Constants] = {}
        self._most = _MOST_SIZES * len(plan.sites)

    def parameter(self, name: str, value: nn.Parameter) -> QParams | WeightQParams:
        """The quantizer of a parameter; notices if it holds other integers than before.

        Args:
            name: Name of the parameter in the plan.
            value: Its integers.
        """
        version = (value.data_ptr(), 0 if value.is_inference() else value._version)
        if self._versions.setdefault(name, version) != version:
            # Constants that were computed from the old integers are void.
            self._versions[name] = version
            self._constants.clear()
            self.folded.clear()
        return self._parameters[name]

    def function(self, site: str, plan: SitePlan) -> IntegerFunction:
        """The integer function of a non-linear site."""
        if site not in self._functions:
            self._functions[site] = FUNCTIONS.build(dict(plan.function or {}))
        return self._functions[site]

    def of_site(
        self,
        site: str,
        plan: SitePlan,
        operation: Operation,
        operands: list[QTensor | None],
        attributes: dict[str, Any],
    ) -> Constants:
        """The constants of a site for such operands.

        Args:
            site: Name of the site.
            plan: Its plan.
            operation: Its operation.
            operands: The operands: their quantizers and sizes count, and the integers
                of parameters.
            attributes: Arguments of the operation that are no tensors.

        Raises:
            OverflowError: If a constant does not fit its integer type.
            ValueError: If there are no constants for these quantizers.
        """
        payloads = [None if x is None else x.payload for x in operands]
        qparams = [None if x is None else x.qparams for x in operands]
        device = payloads[0].device  # type: ignore[union-attr]
        terms = operation.terms(payloads, attributes)
        key = (site, terms, device, *qparams)
        constants = self._constants.get(key)
        if constants is None:
            function = None
            if isinstance(operation, NonLinear):
                function = self.function(site, plan)
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
            if len(self._constants) >= self._most:
                self._constants.clear()
            constants = self._constants[key] = {
                k: v.to(device) if isinstance(v, Tensor) else v for k, v in made.items()
            }
        return constants

    def made_at(self, site: str) -> list[tuple[QParams, Constants]]:
        """The constants of a site so far, each with the quantizer of its first operand.

        Args:
            site: Name of the site.
        """
        return [(k[3], made) for k, made in self._constants.items() if k[0] == site]

    def drop(self, sites: Set[str]) -> None:
        """Drop the constants and functions of sites whose plan changes."""
        for key in [key for key in self._constants if key[0] in sites]:
            del self._constants[key]
        for site in sites:
            self._functions.pop(site, None)


def _qparams(plan: ParameterPlan) -> QParams | WeightQParams:
    if isinstance(plan.scale, list):
        return WeightQParams(plan.scales(), plan.bound, plan.role == TRANSPOSED)
    return QParams(plan.scale, -plan.bound, plan.bound)
