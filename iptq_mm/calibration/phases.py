"""The phases that look at activations: observe, analyse, assign."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn

from ..functions import IntegerFunction
from ..intmath import QParams
from ..modes import Analysing, Differentiating, Mode, Observing, regions_in, running
from ..norms import folded_norms
from ..operations import OPERATIONS, NonLinear
from ..pixels import pixels_of
from ..plan import RegionPlan
from ..record import RegionRecord
from ..registry import CRITERIA
from ..statistics import NotFiniteError
from .assign import Planner, choose_functions, plan_parameters
from .calls import Calls
from .config import ConfigError, QuantizationConfig
from .evaluating import evaluating
from .neighbours import givers_first, handed_inputs
from .regions import parts_beside

#: Runs the model on one batch; called without gradients, in eval mode.
Forward = Callable[[Any], Any]


class _Done(Exception):
    """Every region has run: the rest of the model has nothing to show."""


def check_regions(model: nn.Module, config: QuantizationConfig) -> None:
    """Make sure that the regions are there and can be quantized.

    Raises:
        ConfigError: If a region is missing, quantized already, nested, or a list of
            modules; see :func:`~.regions.expanded`.
        NotFiniteError: If a parameter holds NaN or infinity.
    """
    for name in config.regions:
        try:
            module = model.get_submodule(name)
        except AttributeError:
            module = None
        if module is None or not name:
            parts = parts_beside(model, name)
            raise ConfigError(
                f"the model has no part '{name}' (quantization.regions); it has {parts}"
            )
        if any(
            other != name and name.startswith(f'{other}.') for other in config.regions
        ):
            raise ConfigError(f"region '{name}' lies inside another region")
        if regions_in(module):
            raise ConfigError(f"region '{name}' is quantized already")
        for path, parameter in module.named_parameters():
            if not torch.isfinite(parameter).all():
                raise NotFiniteError(
                    f"parameter '{name}.{path}' holds NaN or infinite values: the "
                    'checkpoint is damaged or belongs to another model'
                )


def observe(
    model: nn.Module,
    config: QuantizationConfig,
    forward: Forward,
    batches: Iterable,
    powers: Mapping[str, dict[str, list[int]]] | None = None,
) -> dict[str, RegionRecord]:
    """Run the float model and record what every site sees.

    See :func:`check_observed` for what may be missing then.

    Args:
        model: The float model.
        config: What to quantize.
        forward: Runs a batch.
        batches: Calibration batches.
        powers: By region, the powers that :func:`~.equalize.equalize` left to it.
    """
    powers = powers or {}
    records = {
        n: RegionRecord(
            powers=dict(powers.get(n, {})), pixels=pixels_of(model.get_submodule(n))
        )
        for n in config.regions
    }
    run_batches(model, {n: Observing(r) for n, r in records.items()}, forward, batches)
    return records


def check_observed(records: Mapping[str, RegionRecord]) -> None:
    """Make sure that there is something to quantize.

    Args:
        records: By region, those of all processes: one may have seen no call of a head.

    Raises:
        ConfigError: If no image came, a region never ran, or there is no
            transformer in the regions.
    """
    for name, record in records.items():
        if not any(seen.count for seen in record.values.values()):
            raise ConfigError(
                f"region '{name}' never ran on the calibration images: is the "
                'calibration set empty, or the region unused by this model? Heads of '
                'a second stage run where something is detected only: use a trained '
                'checkpoint, more images (quantization.calibration.num_images), or a '
                'lower score_thr in model.test_cfg.rcnn'
            )
    if not any(map(_chooses, records.values())):
        raise ConfigError(
            f'no transformer in the regions {[*records]}: they hold neither '
            'Softmax nor GELU nor LayerNorm'
        )


def analyse(
    model: nn.Module,
    config: QuantizationConfig,
    records: dict[str, RegionRecord],
    forward: Forward,
    batches: Iterable,
) -> None:
    """Try every candidate function at every site, in one pass."""
    functions = config.functions()
    criterion = CRITERIA.build(dict(config.criterion))
    draws = criterion.draws if criterion.needs_gradients else 0

    def cost(function: IntegerFunction, row: int) -> float:
        return function.operations(row).weighted(config.cost_weights)

    modes: dict[str, Mode] = {}
    plans: dict[str, RegionPlan] = {}
    for name, record in givers_first(records):
        if not _chooses(record):
            continue
        record.candidates.clear()
        record.constants.clear()
        record.refused.clear()
        planner = Planner(record, config, handed_inputs(record, plans))
        plan = plans[name] = planner.plan(type(model.get_submodule(name)).__name__)
        modes[name] = Analysing(plan, functions, record, planner.qparams, cost, draws)
    run_batches(model, modes, forward, batches)


def _chooses(record: RegionRecord) -> bool:
    """Whether a region has sites for which functions are chosen."""
    kinds = set(record.operations.values())
    return any(isinstance(OPERATIONS[kind], NonLinear) for kind in kinds)


def assign(
    model: nn.Module, config: QuantizationConfig, records: dict[str, RegionRecord]
) -> dict[str, RegionPlan]:
    """Choose functions and make the plans."""
    plans: dict[str, RegionPlan] = {}
    for name, record in givers_first(records):
        module = model.get_submodule(name)
        chosen = choose_functions(record, config)
        kinds = record.operations
        cfgs = {s: config.candidates[kinds[s]][f] for s, f in chosen.items()}
        functions = config.functions()
        built = {s: functions[kinds[s]][f] for s, f in chosen.items()}
        planner = Planner(record, config, handed_inputs(record, plans))
        plan = planner.plan(type(module).__name__, cfgs, built)
        for site, function in chosen.items():
            prepared = record.constants.get(site, {}).get(function)
            if prepared is not None:
                plan.sites[site].constants = prepared['constants']
                plan.sites[site].made_for = QParams.from_dict(prepared['input'])
        plan.parameters = plan_parameters(module, record, config)
        plan.norms = folded_norms(module)
        plans[name] = plan
    return {name: plans[name] for name in records}


def run_batches(
    model: nn.Module, modes: Mapping[str, Mode], forward: Forward, batches: Iterable
) -> None:
    """Run batches; stop each when the last region is done, see :class:`Calls`."""
    calls = Calls(modes)

    def count(name: str, outputs: Any) -> None:
        mode = modes[name]
        if isinstance(mode, Differentiating):
            mode.finish()
        if calls.add(name, mode.images):
            raise _Done

    with evaluating(model), running(model, modes):
        for region in regions_in(model).values():
            region.on_output = count
        for batch in batches:
            calls.start()
            with contextlib.suppress(_Done):
                forward(batch)
            calls.finish()
