"""The phase assign: the criterion chooses functions, and the plans are made."""

from __future__ import annotations

from torch import nn

from ...intmath import QParams
from ...norms import folded_norms
from ...plan import RegionPlan
from ...record import RegionRecord
from ..calibrated_ranges import calibrated_ranges
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
        module = model.get_submodule(name)
        chosen = choose_functions(record, config)
        kinds = record.operations
        cfgs = {s: config.candidates[kinds[s]][f] for s, f in chosen.items()}
        functions = config.functions()
        built = {s: functions[kinds[s]][f] for s, f in chosen.items()}
        planner = Planner(record, config, inputs_from_producers(record, plans))
        plan = planner.plan(type(module).__name__, cfgs, built)
        for site, function in chosen.items():
            prepared = record.constants.get(site, {}).get(function)
            if prepared is not None:
                plan.sites[site].constants = prepared['constants']
                plan.sites[site].made_for = QParams.from_dict(prepared['input'])
        plan.parameters = plan_parameters(module, record, config)
        plan.norms = folded_norms(module)
        plan.calibrated = calibrated_ranges(record, plan)
        plans[name] = plan
    return {name: plans[name] for name in records}
