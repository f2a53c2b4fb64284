"""The phases of a quantization: what each does, in the order in which they run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

from mmengine import dist
from mmengine.logging import print_log
from torch import Tensor, nn

from ...calibration import (
    QuantizationConfig,
    analyse,
    assign,
    channel_ranges,
    check_observed,
    choose_ranges,
    equalize,
    fold_batch_norm,
    fold_normalization,
    freeze_regions,
    measure,
    observe,
    reconstruct,
    search_ranges,
    wants_inputs,
)
from ...calibration.batches import Forward
from ...calibration.evaluating import evaluating
from ...calibration.phases.equalize import Powers
from ...calibration.phases.measure import RegionInputs
from ...calibration.phases.reconstruct import Reconstructed
from ...calibration.region_check.check import RegionChecker
from ...calibration.region_check.verdict import report
from ...calibration.rewrites.marks import marked_layer
from ...calibration.twins import float_twins
from ...modes import regions_in
from ...modes.attributes import Attributes
from ...plan import RegionPlan
from ...program.runtime.site_kernels import SiteKernels
from .distributed import (
    BatchErrors,
    merged,
    merged_effects,
    merged_inputs,
    merged_ranges,
)
from .progress import progress_of, some_batches
from .seen_images import SeenImages
from .state import State

#: Most batches that the integer model runs before it is handed over.
_TRIAL_BATCHES = 4


@dataclass
class Run:
    """A quantization in progress: its inputs, and the results of the phases so far.

    Attributes:
        model: The float model, which the last phase makes integer.
        config: What to quantize.
        batches: Calibration batches of this rank.
        forward: Runs the model on a batch.
        state: Records and ranges, and the time of the phases that found them.
        powers: By region, powers of two that equalization left to sites; None before.
        plans: By region, from the assignment on.
        inputs: By region, what the weights get as inputs; None where it was not
            measured.
        twins: By region, its float self, from the phase freeze on.
        checker: Compares the regions with floats, from the phase freeze on.
        reconstructed: What the reconstruction did; None: there was none.
        checks: By region, how the integers compare with floats.
        seconds: Time of the phases that are not in ``state``.
        real: By region, real values of the parameters before they were rounded; only
            if ``keep_real``.
        keep_real: Whether to keep them.
        remembered: What modules of the model kept before calibration.
    """

    model: nn.Module
    config: QuantizationConfig
    batches: Iterable[Any]
    forward: Forward
    state: State
    powers: Powers | None = None
    plans: dict[str, RegionPlan] = field(default_factory=dict)
    inputs: RegionInputs | None = None
    twins: dict[str, nn.Module] = field(default_factory=dict)
    checker: RegionChecker | None = None
    reconstructed: Reconstructed | None = None
    checks: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    real: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    keep_real: bool = False

    def __post_init__(self) -> None:
        """Note what the modules keep."""
        self.remembered = Attributes(self.model.modules(), numbers=True)

    def progress(self, phase: str, images: int | None = None) -> Iterator[Any]:
        """The batches of a phase, with progress in the log.

        Args:
            phase: Its name.
            images: About how many images it looks at; None: all.
        """
        total = len(self.batches) if isinstance(self.batches, Sized) else None
        if images is None:
            return progress_of(self.batches, phase, total)
        return some_batches(self.batches, phase, total, images, self.config)


class Phase(NamedTuple):
    """A phase of a quantization.

    Attributes:
        name: In the log, in the state file and among the times of a run.
        run: Does the work: reads what earlier phases left in the run, and adds to it.
        wanted: Whether a config asks for it.
        kept: Whether its findings are kept in the state file. A resumed run leaves out
            the phases whose findings are there.
        repeated: Whether a resumed run does it all the same, because it also changes
            the model in memory.
    """

    name: str
    run: Callable[[Run], None]
    wanted: Callable[[QuantizationConfig], Any] = lambda config: True
    kept: bool = False
    repeated: bool = False

    def do(self, run: Run) -> None:
        """Do what is wanted and not done yet; note the time, and keep the findings."""
        finished = self.name in run.state.seconds
        if not self.wanted(run.config) or (finished and not self.repeated):
            return
        began = time.perf_counter()
        self.run(run)
        seconds = time.perf_counter() - began
        if not self.kept:
            run.seconds[self.name] = seconds
        elif not finished:
            run.state.finish(self.name, seconds)


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
    if state.ranges is None:
        batches = run.progress('equalize')
        found = channel_ranges(model, config, run.forward, run.batches, batches)
        state.ranges = merged_ranges(found)
    done = equalize(model, config, state.ranges, run.forward, run.batches)
    run.powers = done.powers
    shown = [f'{count} sites by {name}' for name, count in done.sites.items()]
    print_log(f'equalized: {", ".join(shown)}', 'current')


def _observe(run: Run) -> None:
    seen = SeenImages()
    batches = seen.each(run.progress('observe'))
    records = observe(run.model, run.config, run.forward, batches, run.powers)
    run.state.records = merged(records)
    check_observed(run.state.records)
    seen.warn()


def _search(run: Run) -> None:
    records = run.state.records
    batches = run.progress('search', run.config.activation.search_images)
    found = search_ranges(run.model, run.config, records, run.forward, batches)
    for name, effects in merged_effects(found).items():
        choose_ranges(records[name], effects)


def _analyse(run: Run) -> None:
    records = run.state.records
    errors = BatchErrors(records)
    images = run.config.calibration.analysis_images
    batches = errors.each(run.progress('analyse', images))
    analyse(run.model, run.config, records, run.forward, batches)
    errors.merge()


def _assign(run: Run) -> None:
    run.plans = assign(run.model, run.config, run.state.records)


def _measure(run: Run) -> None:
    batches, guided = run.progress('measure'), run.config.weight.guided
    found = measure(run.model, run.plans, run.forward, batches, guided)
    run.inputs = merged_inputs(found)


def _freeze(run: Run) -> None:
    # What the model remembers of calibration, its integer self has to make anew.
    run.remembered.put_back()
    run.checker = RegionChecker(run.model, list(run.plans))
    if run.config.reconstruction.epochs:
        run.twins = float_twins(run.model, run.plans)
    if run.keep_real:
        run.real = {name: _real(run.model, name) for name in run.plans}
    freeze_regions(run.model, run.config, run.plans, run.state.records, run.inputs)


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
    )
    remembered.put_back()
    run.twins = {}


def _check(run: Run) -> None:
    assert run.checker is not None
    _try_out(run, run.checker)
    run.checks = report(run.checker.checks(), run.plans, run.config)


def _real(model: nn.Module, region: str) -> dict[str, Tensor]:
    # Freezing replaces parameters and writes to none.
    parameters = model.get_submodule(region).named_parameters()
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
    Phase('analyse', _analyse, kept=True),
    Phase('assign', _assign),
    Phase('measure', _measure, wants_inputs),
    Phase('freeze', _freeze),
    Phase('reconstruct', _reconstruct, lambda c: c.reconstruction.epochs),
    Phase('check', _check),
)
