"""The phase assign: the criterion chooses functions, and the plans are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from ...functions import function_name
from ...intmath import QParams
from ...kept_float import kept_float
from ...norms import folded_norms
from ...operations import OPERATIONS, NonLinear
from ...plan import RegionPlan
from ...record import RegionRecord
from ...registry import CRITERIA, FUNCTIONS
from ..calibrated_ranges import calibrated_ranges
from ..config import ConfigError, QuantizationConfig
from ..planner import Planner
from ..region_order import inputs_from_producers, producers_first
from ..site_overrides import SiteOverrides
from .plan_parameters import plan_parameters


def assign(
    model: nn.Module, config: QuantizationConfig, records: dict[str, RegionRecord]
) -> dict[str, RegionPlan]:
    """The plans of all regions, their functions chosen by the criterion of the config.

    Args:
        model: The float model.
        config: What to quantize.
        records: By region, from the phases before.
    """
    functions: dict[str, dict[str, dict[str, Any]]] = {}
    for name, record in records.items():
        overrides = SiteOverrides(config.overrides, record)
        functions[name] = {
            site: overrides.function(site)
            or config.candidates[record.operations[site]][function]
            for site, function in choose_functions(record, config).items()
        }
    plans = plans_for(model, config, records, functions)
    for name, record in records.items():
        module = model.get_submodule(name)
        plans[name].parameters = plan_parameters(module, record, config)
    return plans


def choose_functions(
    record: RegionRecord, config: QuantizationConfig
) -> dict[str, str]:
    """The name of the chosen candidate of each non-linear site.

    Raises:
        ConfigError: If no candidate can serve a site, or the criterion chooses none.
    """
    criterion = CRITERIA.build(dict(config.criterion))
    overrides = SiteOverrides(config.overrides, record)
    chosen = {}
    for site, kind in record.operations.items():
        if isinstance(OPERATIONS[kind], NonLinear):
            candidates = record.candidates.get(site)
            if not candidates:
                raise ConfigError(
                    f"site '{site}': none of the candidates for {kind} can serve it: "
                    f'{record.refused.get(site)}'
                )
            given = overrides.function(site)
            if given is not None and function_name(given) in candidates:
                chosen[site] = function_name(given)
                continue
            try:
                chosen[site] = criterion.choose(kind, candidates)
            except ValueError as error:
                raise ConfigError(f"site '{site}': {error}") from error
    return chosen


def plans_for(
    model: nn.Module,
    config: QuantizationConfig,
    records: Mapping[str, RegionRecord],
    functions: Mapping[str, Mapping[str, dict[str, Any]]],
    narrow_at_use: bool = False,
) -> dict[str, RegionPlan]:
    """The plans of all regions with given functions, without parameters.

    Args:
        model: The float model.
        config: What to quantize.
        records: By region, from the phases before.
        functions: By region, the registry dict of the function of each non-linear site.
        narrow_at_use: See :meth:`~iptq_mm.calibration.planner.Planner.plan`.
    """
    plans: dict[str, RegionPlan] = {}
    for name, record in producers_first(records):
        module = model.get_submodule(name)
        plan = _plan(
            type(module).__name__,
            record,
            config,
            plans,
            dict(functions[name]),
            narrow_at_use,
        )
        plan.norms = folded_norms(module)
        plan.kept_float = kept_float(module)
        plans[name] = plan
    return {name: plans[name] for name in records}


def assigned_again(
    config: QuantizationConfig,
    records: Mapping[str, RegionRecord],
    before: Mapping[str, RegionPlan],
) -> dict[str, RegionPlan]:
    """The plans by the records as they are now; functions and parameters stay.

    Args:
        config: What to quantize.
        records: By region, with other statistics than ``before`` was made of.
        before: The plans so far.
    """
    plans: dict[str, RegionPlan] = {}
    for name, record in producers_first(records):
        old = before[name]
        functions = {s: p.function for s, p in old.sites.items() if p.function}
        plan = _plan(old.module, record, config, plans, functions)
        plan.parameters, plan.norms = old.parameters, old.norms
        plan.kept_float = old.kept_float
        plans[name] = plan
    return {name: plans[name] for name in before}


def _plan(
    module: str,
    record: RegionRecord,
    config: QuantizationConfig,
    producers: Mapping[str, RegionPlan],
    functions: dict[str, dict[str, Any]],
    narrow_at_use: bool = False,
) -> RegionPlan:
    """The plan of a region without its parameters.

    Args:
        module: Class name of its module.
        record: Its record.
        config: What to quantize.
        producers: The plans of the regions that come before.
        functions: Registry dict of the function of each non-linear site.
        narrow_at_use: See :meth:`~iptq_mm.calibration.planner.Planner.plan`.
    """
    known = {function_name(c): c for c in functions.values()}
    built = {n: FUNCTIONS.build(dict(c)) for n, c in known.items()}
    planner = Planner(record, config, inputs_from_producers(record, producers))
    plan = planner.plan(
        module,
        functions,
        {site: built[function_name(cfg)] for site, cfg in functions.items()},
        narrow_at_use,
    )
    for site, cfg in functions.items():
        prepared = record.constants.get(site, {}).get(function_name(cfg))
        if prepared is not None:
            plan.sites[site].constants = prepared['constants']
            plan.sites[site].made_for = QParams.from_dict(prepared['input'])
    plan.calibrated = calibrated_ranges(record, plan)
    return plan
