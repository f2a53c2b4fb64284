"""The integer modes of a method: the same functions at all sites of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from torch import nn

from ....functions import function_name
from ....operations import OPERATIONS, NonLinear
from ....plan import ParameterPlan, RegionPlan
from ....record import RegionRecord
from ...config import ConfigError, QuantizationConfig
from ...config.methods import Method
from ..assign import plans_for
from ..freeze import quantize_parameters
from ..plan_parameters import plan_parameters
from .modes import Keeping, OnVisit, Uniform


class Rounded(NamedTuple):
    """The parameters of a region in integers, and their plan."""

    integers: dict[str, nn.Parameter]
    plans: dict[str, ParameterPlan]


class UniformModels:
    """Makes integer modes for method after method; parameters are rounded once.

    Args:
        model: The float model.
        config: What to quantize.
        records: Of all regions.
        floats: Their float modes, which prepare the functions at every site.
    """

    def __init__(
        self,
        model: nn.Module,
        config: QuantizationConfig,
        records: Mapping[str, RegionRecord],
        floats: Mapping[str, Keeping],
    ) -> None:
        self.model, self.config = model, config
        self.records, self.floats = records, floats
        self.methods = config.analysis_methods()
        self._rounded: dict[str, Rounded] = {}

    def modes(
        self, method: Method, on_visit: Mapping[str, OnVisit]
    ) -> dict[str, Uniform]:
        """The integer modes of all regions with the functions of a method.

        Args:
            method: The method.
            on_visit: By region, called at every non-linear site.

        Raises:
            ConfigError: If no function can serve a site.
        """
        chosen = {
            name: {
                site: self._function(method, name, site, kind)
                for site, kind in record.operations.items()
                if isinstance(OPERATIONS[kind], NonLinear)
            }
            for name, record in self.records.items()
        }
        plans = plans_for(
            self.model, self.config, self.records, chosen, narrow_at_use=True
        )
        made = {}
        for name, plan in plans.items():
            if name not in self._rounded:
                self._rounded[name] = self._round(name, plan)
            integers, plan.parameters = self._rounded[name]
            made[name] = Uniform(plan, integers, on_visit[name])
        return made

    def take_constants(self, modes: Mapping[str, Uniform]) -> None:
        """Give the sites the constants that the float pass over this batch made.

        Those of other batches may be for another range: masks widen it.
        """
        for name, mode in modes.items():
            for site, prepared in self.floats[name].prepared.items():
                plan = mode.plan.sites[site]
                operation = OPERATIONS[plan.operation]
                made = prepared.get(function_name(plan.function or {'type': ''}))
                if made and isinstance(operation, NonLinear) and operation.saved:
                    plan.made_for, plan.constants = made

    def _round(self, name: str, plan: RegionPlan) -> Rounded:
        """Round the parameters of a region, which no method changes."""
        module, record = self.model.get_submodule(name), self.records[name]
        nearest = {'type': 'nearest'}
        weight = replace(self.config.weight, rounding=nearest, bias_correction=False)
        config = replace(self.config, weight=weight)
        plan.parameters = plan_parameters(module, record, config)
        rounded = quantize_parameters(module, plan, record, config)
        integers = {n: nn.Parameter(q, requires_grad=False) for n, q in rounded.items()}
        return Rounded(integers, plan.parameters)

    def _function(
        self, method: Method, name: str, site: str, kind: str
    ) -> dict[str, Any]:
        """The function of a site: that of the method, or the first that can serve."""
        wanted = method.functions[kind]
        prepared = self.floats[name].prepared.get(site)
        if prepared is None:  # a site that did not run has no use for another
            return wanted
        for cfg in [wanted, *_functions(self.methods, kind)]:
            if function_name(cfg) in prepared:
                return cfg
        raise ConfigError(
            f"site '{site}': none of the candidates for {kind} can serve it: "
            f'{self.records[name].refused.get(site)}'
        )


def _functions(methods: Sequence[Method], kind: str) -> list[dict[str, Any]]:
    return [method.functions[kind] for method in methods]
