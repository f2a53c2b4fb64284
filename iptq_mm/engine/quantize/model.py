"""The whole quantization of a model, with progress, resume and ranks."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sized
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from mmengine import dist
from mmengine.logging import print_log
from torch import nn

from ...calibration import (
    QuantizationConfig,
    analyse,
    assign,
    channel_ranges,
    check_derived,
    check_observed,
    check_regions,
    choose_ranges,
    equalize,
    expanded,
    fold_batch_norm,
    fold_normalization,
    forget_caches,
    freeze_regions,
    measure,
    observe,
    search_ranges,
    wants_inputs,
)
from ...calibration.evaluating import evaluating
from ...calibration.region_check.check import RegionChecker
from ...calibration.region_check.verdict import report
from ...functions import function_name
from ...modes import regions_in
from ...modes.attributes import Attributes
from ...plan import RegionPlan
from ...record import RegionRecord
from ..loading.models import unwrapped
from .distributed import (
    BatchErrors,
    merged,
    merged_effects,
    merged_inputs,
    merged_ranges,
)
from .model_state import check_state
from .progress import progress_of, some_batches
from .seen_images import SeenImages
from .state import State, state_key

#: Batches that the integer model runs at most before it is handed over.
_REHEARSALS = 4


@dataclass
class Quantization:
    """What :func:`quantize_model` did.

    Attributes:
        plans: By region.
        records: By region.
        seconds: By phase.
        checks: By region, see
            :class:`~iptq_mm.calibration.region_check.verdict.RegionCheck`.
    """

    plans: dict[str, RegionPlan]
    records: dict[str, RegionRecord]
    seconds: dict[str, float] = field(default_factory=dict)
    checks: dict[str, dict[str, Any]] = field(default_factory=dict)

    def assignment(self) -> dict[str, str]:
        """The chosen function of every non-linear site, ``region:site``."""
        return {
            f'{region}:{site}': function_name(plan.function)
            for region, plans in self.plans.items()
            for site, plan in plans.sites.items()
            if plan.function
        }


def quantize_model(
    model: nn.Module,
    config: QuantizationConfig,
    batches: Iterable[Any],
    state_file: str | os.PathLike | None = None,
    resume: bool = False,
    images: str = '',
) -> Quantization:
    """Quantize the regions of a float model, in place.

    Args:
        model: An mmengine model (its ``test_step`` runs a batch).
        config: What to quantize.
        batches: Calibration batches of this rank; gone through once for each
            phase. Ranks hold consecutive parts.
        state_file: Where to keep the records, so that an interrupted run can go
            on after the last finished phase.
        resume: Whether to use an existing ``state_file``; one of other settings,
            weights or images is not used.
        images: Describes the calibration images, to tell them from others.

    Returns:
        Plans, records and the time each phase took.

    Raises:
        ConfigError: See :func:`~iptq_mm.calibration.check_regions`,
            :func:`~iptq_mm.engine.quantize.model_state.check_state`,
            :func:`~iptq_mm.calibration.check_derived`,
            :func:`~iptq_mm.calibration.check_observed` and
            :func:`~iptq_mm.calibration.region_check.verdict.report`.
        ValueError: If weights or activations hold NaN.
        OverflowError: If an intermediate of a site could leave its type.
    """
    model = unwrapped(model)
    forward: Any = model.test_step
    config = replace(config, regions=expanded(model, config.regions))
    check_regions(model, config)
    check_state(model, config.regions)
    for name in config.regions:
        check_derived(name, model.get_submodule(name))
    forget_caches(model, config, forward, batches)
    kept = Attributes(model.modules(), numbers=True)
    key = {} if state_file is None else state_key(model, repr(config), images)
    state = State(state_file, key, resume)
    total = len(batches) if isinstance(batches, Sized) else None
    if config.pixels:
        progress = progress_of(batches, 'pixels', total)
        gather = dist.all_gather_object
        reasons = fold_normalization(model, config, forward, progress, gather)
        print_log(f'pixels as input: {_reasons(reasons)}', 'current')
    folded = fold_batch_norm(model, config, forward, batches)
    if folded:
        count = sum(map(len, folded.values()))
        print_log(f'batch norms that became part of a layer: {count}', 'current')
    powers = None
    if config.equalization:
        began = time.perf_counter()
        if state.ranges is None:
            progress = progress_of(batches, 'equalize', total)
            found = channel_ranges(model, config, forward, batches, progress)
            state.ranges = merged_ranges(found)
        done = equalize(model, config, state.ranges, forward, batches)
        if 'equalize' not in state.seconds:
            state.finish('equalize', time.perf_counter() - began)
        powers = done.powers
        print_log(f'equalized: {_listed(done.sites)}', 'current')
    if 'observe' not in state.seconds:
        began = time.perf_counter()
        seen = SeenImages()
        progress = seen.each(progress_of(batches, 'observe', total))
        state.records = merged(observe(model, config, forward, progress, powers))
        check_observed(state.records)
        state.finish('observe', time.perf_counter() - began)
        seen.warn()
    if config.activation.search_images and 'search' not in state.seconds:
        began = time.perf_counter()
        wanted = config.activation.search_images
        progress = some_batches(batches, 'search', total, wanted, config)
        effects_of = search_ranges(model, config, state.records, forward, progress)
        for name, effects in merged_effects(effects_of).items():
            choose_ranges(state.records[name], effects)
        state.finish('search', time.perf_counter() - began)
    if 'analyse' not in state.seconds:
        began = time.perf_counter()
        errors = BatchErrors(state.records)
        wanted = config.calibration.analysis_images
        progress = errors.each(some_batches(batches, 'analyse', total, wanted, config))
        analyse(model, config, state.records, forward, progress)
        errors.merge()
        state.finish('analyse', time.perf_counter() - began)
    began = time.perf_counter()
    plans = assign(model, config, state.records)
    seconds = {**state.seconds, 'assign': time.perf_counter() - began}
    inputs = None
    if wants_inputs(config):
        began = time.perf_counter()
        progress = progress_of(batches, 'measure', total)
        guided = config.weight.guided
        inputs = merged_inputs(measure(model, plans, forward, progress, guided))
        seconds['measure'] = time.perf_counter() - began
    began = time.perf_counter()
    # What the model keeps of calibration, its integer self has to make anew.
    kept.put_back()
    checker = RegionChecker(model, list(plans))
    freeze_regions(model, config, plans, state.records, inputs)
    _rehearse(model, forward, batches, checker)
    checks = report(checker.checks(), plans, config)
    seconds['freeze'] = time.perf_counter() - began
    return Quantization(
        plans, state.records, {k: round(v, 2) for k, v in seconds.items()}, checks
    )


def _rehearse(
    model: nn.Module, forward: Any, batches: Iterable[Any], checker: RegionChecker
) -> None:
    """Run integers: constants are made and their bounds checked now.

    A batch, or a few until every region has run.

    Raises:
        OverflowError: If an intermediate of a site could leave its type.
    """
    names, kept = regions_in(model).keys(), Attributes(model.modules(), numbers=True)
    try:
        with evaluating(model), checker.watching(model) as ran:
            for batch in islice(iter(batches), _REHEARSALS):
                forward(batch)
                if ran >= names:
                    break
    finally:
        kept.put_back()


def _reasons(reasons: dict[str, str]) -> str:
    return ', '.join(f'{n}: no, {r}' if r else f'{n}: yes' for n, r in reasons.items())


def _listed(done: dict[str, int]) -> str:
    return ', '.join(f'{count} sites by {name}' for name, count in done.items())
