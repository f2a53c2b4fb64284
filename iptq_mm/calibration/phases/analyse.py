"""The phase analyse: the error of every candidate function at every site."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import nn

from ...functions import IntegerFunction
from ...modes import Mode
from ...plan import RegionPlan
from ...record import RegionRecord
from ...registry import CRITERIA
from ..backward import Saved
from ..batches import Forward, run_batches
from ..config import QuantizationConfig
from ..planner import Planner
from ..region_order import inputs_from_producers, producers_first
from ..site_overrides import SiteOverrides
from .analyse_mode import Analysing
from .analysed.candidate_values import CandidateValues, SiteKernel
from .observe import has_choices


def analyse(
    model: nn.Module,
    config: QuantizationConfig,
    records: dict[str, RegionRecord],
    forward: Forward,
    batches: Iterable,
    kernel: SiteKernel | None = None,
) -> None:
    """Measure the error of every candidate function at every site, in one pass.

    Args:
        model: The float model.
        config: Candidates and criterion.
        records: From the phase that observes; get the errors by site and candidate.
        forward: Runs a batch.
        batches: Calibration batches.
        kernel: Computes sites natively; None: nothing does.
    """
    functions = config.functions()
    criterion = CRITERIA.build(dict(config.criterion))
    draws, cost = criterion.draws if criterion.needs_gradients else 0, cost_of(config)
    modes: dict[str, Mode] = {}
    saved = Saved(config.calibration.gradient_memory_mb)
    plans: dict[str, RegionPlan] = {}
    for name, record in producers_first(records):
        if not has_choices(record):
            continue
        forget_findings(record)
        planner = Planner(record, config, inputs_from_producers(record, plans))
        plan = plans[name] = planner.plan(type(model.get_submodule(name)).__name__)
        analysing = Analysing(
            plan, functions, record, planner.qparams, cost, draws, saved
        )
        overrides = SiteOverrides(config.overrides, record)
        analysing.given = overrides.functions()
        configs: dict[int, Any] = {
            id(function): config.candidates[kind][name]
            for kind, named in functions.items()
            for name, function in named.items()
        }
        for site, named in analysing.given.items():
            for function in named.values():
                configs[id(function)] = overrides.function(site)
        analysing.values = CandidateValues(configs, kernel)
        modes[name] = analysing
    run_batches(model, modes, forward, batches)


def cost_of(config: QuantizationConfig) -> Callable[[IntegerFunction, int], float]:
    """Gives the operations of a function as one number, for a row length."""

    def cost(function: IntegerFunction, row: int) -> float:
        return function.operations(row).weighted(config.cost_weights)

    return cost


def forget_findings(record: RegionRecord) -> None:
    """Drop what an earlier analysis found."""
    record.candidates.clear()
    record.constants.clear()
    record.refused.clear()
    record.rows.clear()
