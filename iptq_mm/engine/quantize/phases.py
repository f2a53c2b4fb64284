"""The phases of a quantization: what each does, in the order in which they run."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import islice
from typing import Any

from mmengine import dist
from mmengine.logging import print_log
from torch import Tensor, nn

from ...calibration import (
    WIDENING_IMAGES,
    QuantizationConfig,
    analyse,
    analyse_whole_model,
    assign,
    assigned_again,
    calls_of,
    channel_maps,
    channel_ranges,
    check_effects,
    check_float_modules,
    check_given_inputs,
    check_observed,
    choose_limits,
    choose_ranges,
    equalize,
    fold_batch_norm,
    fold_normalization,
    freeze_regions,
    guard,
    measure,
    observe,
    observe_held_out,
    passes,
    recalibrate,
    reconstruct,
    search_ranges,
    take_in,
    take_over,
    try_ranges,
    wants_inputs,
    widen,
)
from ...calibration.backward import Saved
from ...calibration.evaluating import evaluating
from ...calibration.phases.assigned.recalibrate import Values
from ...calibration.phases.frozen.kept import Kept
from ...calibration.phases.frozen.sharing import reduce_inputs
from ...calibration.region_check.check import RegionChecker
from ...calibration.region_check.verdict import report
from ...calibration.rewrites.marks import marked_layer
from ...calibration.twins import float_twins
from ...kept_float import quantized_parameters
from ...modes import regions_in
from ...modes.attributes import Attributes
from ...program.runtime.site_kernels import SiteKernels
from .distributed import merge_analysed, merged, merged_ranges, merged_sums
from .kernel_times import measure_times, wants_times
from .phase import Phase, Run
from .progress import watched
from .seen_images import SeenImages

#: Most bytes of the kernels of candidates that are kept from batch to batch.
_KERNEL_BYTES = 2**26
#: Most batches that the integer model runs before it is handed over.
_TRIAL_BATCHES = 4


def rewrite(run: Run) -> None:
    """Rewrite the float model exactly: pixels as input, batch norms into layers."""
    if run.config.pixels:
        batches, gather = run.progress('pixels'), dist.all_gather_object
        reasons = fold_normalization(
            run.model, run.config, run.forward, batches, gather
        )
        shown = [f'{n}: no, {r}' if r else f'{n}: yes' for n, r in reasons.items()]
        print_log(f'pixels as input: {", ".join(shown)}', 'current')
    folded = fold_batch_norm(run.model, run.config, run.forward, run.batches)
    if folded:
        count = sum(map(len, folded.values()))
        print_log(f'batch norms that became part of a layer: {count}', 'current')


def _equalize(run: Run) -> None:
    state, model, config = run.state, run.model, run.config
    maps = channel_maps(model, config, run.forward, run.first_images())
    if state.ranges is None:
        batches = run.progress('equalize')
        found = channel_ranges(model, maps, run.forward, batches)
        state.ranges = merged_ranges(found)
    done = equalize(model, config, maps, state.ranges, run.forward, run.batches)
    run.powers = done.powers
    shown = [f'{count} sites by {name}' for name, count in done.sites.items()]
    print_log(f'equalized: {", ".join(shown)}', 'current')


def _observe(run: Run) -> None:
    seen = SeenImages()
    batches = seen.each(run.progress('observe', batches=run.not_held_out()))
    records = observe(run.model, run.config, run.forward, batches, run.powers)
    run.state.records = merged(records)
    check_given_inputs(run.state.records)
    check_observed(run.state.records)
    check_effects(run.config, run.state.records)
    check_float_modules(run.model, run.state.records)
    seen.warn()


def _search(run: Run) -> None:
    records = run.state.records
    images, rest = run.config.activation.search_images, run.not_held_out()
    batches = run.progress('search', images, rest)
    found = search_ranges(run.model, run.config, records, run.forward, batches)
    for name, effects in merged_sums(found).items():
        choose_ranges(records[name], effects)


def _guard(run: Run) -> None:
    held, records = run.held_out(), run.state.records
    batches, first = run.progress('guard', batches=held), len(held.first)
    # One pass shows their statistics, and what regions are called with and return.
    found, run.held = observe_held_out(
        run.model, run.config, run.forward, batches, first, run.powers
    )
    guard(run.model, run.config, records, run.held)
    take_in(records, merged(found))
    if run.config.activation.least_db is None:  # nobody looks at them again
        run.held = {}


def _widen(run: Run) -> None:
    held, records = run.held, run.state.records
    if not held:  # no guard, or a resumed run
        halves = run.held_out() or run.halves(WIDENING_IMAGES)
        if halves:
            few, first = run.progress('widen', batches=halves), len(halves.first)
        else:
            few, first = run.progress('widen', WIDENING_IMAGES), None
        held = calls_of(run.model, records, run.forward, few, first)
    widen(run.model, run.config, records, held)
    run.held = {}


def _analyse(run: Run) -> None:
    records = run.state.records
    images = run.config.calibration.analysis_images
    batches = run.progress('analyse', images)
    given = run.model, run.config, records, run.forward, batches
    if run.config.analysis == 'whole-model':
        analyse_whole_model(*given)
    else:
        analyse(*given, SiteKernels(_KERNEL_BYTES))
    merge_analysed(records)
    if wants_times(run.config):
        measure_times(run.model, run.config, records)


def _assign(run: Run) -> None:
    run.plans = assign(run.model, run.config, run.state.records)


def _recalibrate(run: Run) -> None:
    records, settings = run.state.records, run.config.calibration
    name, images = 'recalibrate', settings.analysis_images

    def again(batches: Iterable[Any], values: Values | None = None) -> None:
        found = recalibrate(run.model, records, run.plans, run.forward, batches, values)
        take_over(records, merged(found))
        run.plans = assigned_again(run.config, records, run.plans)

    if settings.function_ranges:
        batches = run.progress(f'{name}: inputs of functions', images)
        found = try_ranges(
            run.model, run.config, records, run.plans, run.forward, batches
        )
        for region, errors in merged_sums(found).items():
            choose_limits(records[region], errors)
        run.plans = assigned_again(run.config, records, run.plans)
    if settings.recalibrate:
        parts = passes(records, settings.recalibrate)
        for i, values in enumerate(parts, 1):
            again(run.progress(f'{name} {i}/{len(parts)}'), values)
    # With the last ranges come other constants of functions. All images: where nothing
    # is detected in the first ones, a head would keep constants of its old ranges.
    again(run.progress(f'{name}: constants'))


def _wants_recalibration(config: QuantizationConfig) -> Any:
    return config.calibration.recalibrate or config.calibration.function_ranges


def _measure(run: Run) -> None:
    batches, guided = run.progress('measure'), run.config.weight.guided
    saved, images = Saved(run.config.calibration.gradient_memory_mb), run.images()
    found = measure(run.model, run.plans, run.forward, batches, guided, saved, images)
    for name, inputs in found.items():
        reduce_inputs(run.plans[name], inputs)
    run.inputs = found


def _freeze(run: Run) -> None:
    # What the model remembers of calibration, its integer self has to make anew.
    run.remembered.put_back()
    run.checker = RegionChecker(run.model, list(run.plans))
    if run.config.reconstruction.epochs:
        run.twins = float_twins(run.model, run.plans)
    if run.keep_real:
        run.real = {name: _real(run.model, name) for name in run.plans}
    state = run.state
    kept = Kept(state.rounded, partial(state.save, 'the weights that are rounded'))
    with watched('freeze', run.outlook) as show:
        freeze_regions(
            run.model, run.config, run.plans, state.records, run.inputs, kept, show
        )


def _reconstruct(run: Run) -> None:
    remembered = Attributes(run.model.modules(), numbers=True)
    records, state = run.state.records, run.state
    run.reconstructed = reconstruct(
        run.model,
        run.config.reconstruction,
        run.plans,
        run.twins,
        run.forward,
        run.batches,
        # Padding is exact by a weight and a bias that fit each other.
        {n: marked_layer(records[n], p.pixels) for n, p in run.plans.items()},
        state.learned,
        partial(state.save, 'the parts that have learned'),
        SiteKernels,
        run.seed,
        lambda parts: run.progress('reconstruct', batches=parts, unit='part'),
    )
    remembered.put_back()
    run.twins = {}


def _check(run: Run) -> None:
    assert run.checker is not None
    _try_out(run, run.checker)
    run.checks = report(run.checker.checks(), run.plans, run.config)


def _real(model: nn.Module, region: str) -> dict[str, Tensor]:
    # Freezing replaces parameters and writes to none.
    parameters = quantized_parameters(model.get_submodule(region))
    return {name: value.detach() for name, value in parameters}


def _try_out(run: Run, checker: RegionChecker) -> None:
    """Run a batch in integers, or a few until every region has run.

    That makes the constants and checks their bounds now.

    Raises:
        OverflowError: If an intermediate of a site could leave its type.
    """
    names = regions_in(run.model).keys()
    remembered = Attributes(run.model.modules(), numbers=True)
    try:
        with evaluating(run.model), checker.watching(run.model) as ran:
            for batch in islice(iter(run.batches), _TRIAL_BATCHES):
                run.forward(batch)
                if ran >= names:
                    break
    finally:
        remembered.put_back()


#: In their order; docs/architecture.md has the same table.
PHASES = (
    Phase('equalize', _equalize, lambda c: c.equalization, kept=True, repeated=True),
    Phase('observe', _observe, kept=True),
    Phase('search', _search, lambda c: c.activation.search_images, kept=True),
    Phase('guard', _guard, lambda c: c.activation.guard_images, kept=True),
    Phase('widen', _widen, lambda c: c.activation.least_db is not None, kept=True),
    Phase('analyse', _analyse, kept=True),
    Phase('assign', _assign),
    Phase('recalibrate', _recalibrate, _wants_recalibration, kept=True),
    Phase('measure', _measure, wants_inputs),
    Phase('freeze', _freeze),
    Phase('reconstruct', _reconstruct, lambda c: c.reconstruction.epochs),
    Phase('check', _check),
)
