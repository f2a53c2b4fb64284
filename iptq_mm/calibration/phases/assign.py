"""The phase assign: the criterion chooses functions, and the plans are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from ...functions import function_name
from ...intmath import QParams
from ...norms import folded_norms
from ...plan import RegionPlan
from ...record import RegionRecord
from ...registry import FUNCTIONS
from ..config import QuantizationConfig
from ..planner import Planner, choose_functions, plan_parameters
from ..region_order import inputs_from_producers, producers_first


def assign(
    model: nn.Module, config: QuantizationConfig, records: dict[str, RegionRecord]
) -> dict[str, RegionPlan]:
    """The plans of all regions, their functions chosen by the criterion of the config.

    Args:
        model: The float model.
        config: What to quantize.
        records: By region, from the phases before.
    """
    plans: dict[str, RegionPlan] = {}
    for name, record in producers_first(records):
        module, kinds = model.get_submodule(name), record.operations
        chosen = choose_functions(record, config)
        functions = {s: config.candidates[kinds[s]][f] for s, f in chosen.items()}
        plan = _plan(type(module).__name__, record, config, plans, functions)
        plan.parameters = plan_parameters(module, record, config)
        plan.norms = folded_norms(module)
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
        plans[name] = plan
    return {name: plans[name] for name in before}


def _plan(
    module: str,
    record: RegionRecord,
    config: QuantizationConfig,
    producers: Mapping[str, RegionPlan],
    functions: dict[str, dict[str, Any]],
) -> RegionPlan:
    """The plan of a region without its parameters.

    Args:
        module: Class name of its module.
        record: Its record.
        config: What to quantize.
        producers: The plans of the regions that come before.
        functions: Registry dict of the function of each non-linear site.
    """
    built = {site: FUNCTIONS.build(dict(cfg)) for site, cfg in functions.items()}
    planner = Planner(record, config, inputs_from_producers(record, producers))
    plan = planner.plan(module, functions, built)
    for site, cfg in functions.items():
        prepared = record.constants.get(site, {}).get(function_name(cfg))
        if prepared is not None:
            plan.sites[site].constants = prepared['constants']
            plan.sites[site].made_for = QParams.from_dict(prepared['input'])
    return plan
