"""The whole quantization of a model: phase by phase, on any number of ranks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from mmengine.logging import print_log
from torch import Tensor, nn

from ...calibration import (
    QuantizationConfig,
    check_derived,
    check_patterns,
    check_regions,
    expanded,
    forget_caches,
    keep_modules_float,
)
from ...functions import function_name
from ...plan import RegionPlan
from ...record import RegionRecord
from ..loading.models import unwrapped
from .kernel_times import check_times
from .model_state import check_state
from .outlook import Outlook
from .phases import PHASES, Run, rewrite
from .state import State, state_key


@dataclass
class Quantization:
    """The result of :func:`quantize_model`.

    Attributes:
        plans: By region.
        records: By region.
        seconds: By phase.
        checks: By region, see
            :class:`~iptq_mm.calibration.region_check.verdict.RegionCheck`.
        reconstruction: What a reconstruction did, see
            :class:`~iptq_mm.calibration.phases.reconstruct.Reconstructed`; empty: there
            was none.
        real: By region, the real values of its parameters, equalized and folded, just
            before they were rounded; only if asked for.
    """

    plans: dict[str, RegionPlan]
    records: dict[str, RegionRecord]
    seconds: dict[str, float] = field(default_factory=dict)
    checks: dict[str, dict[str, Any]] = field(default_factory=dict)
    reconstruction: dict[str, Any] = field(default_factory=dict)
    real: dict[str, dict[str, Tensor]] = field(default_factory=dict)

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
    keep_real: bool = False,
    seed: int = 0,
    foresee: Callable[[Sequence[str]], Outlook] | None = None,
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
        keep_real: Whether to keep the real values of parameters, for training.
        seed: Of what is random in the reconstruction.
        foresee: Makes of the names of the phases to come what is said about their
            shares of the time; None: nothing is said.

    Returns:
        Plans, records and the time each phase took.

    Raises:
        ConfigError: See :func:`~iptq_mm.calibration.check_regions`,
            :func:`~iptq_mm.engine.quantize.model_state.check_state`,
            :func:`~iptq_mm.engine.quantize.kernel_times.check_times`,
            :func:`~iptq_mm.calibration.check_derived`,
            :func:`~iptq_mm.calibration.check_observed` and
            :func:`~iptq_mm.calibration.region_check.verdict.report`.
        ValueError: If weights or activations hold NaN.
        OverflowError: If an intermediate of a site could leave its type.
    """
    run = started(model, config, batches, state_file, resume, images, seed)
    run.keep_real = keep_real
    if foresee is not None:
        run.outlook = foresee([phase.name for phase in PHASES if phase.is_due(run)])
        print_log(run.outlook.text(), 'current')
    for phase in PHASES:
        phase.do(run)
    seconds = {**run.state.seconds, **run.seconds}
    return Quantization(
        run.plans,
        run.state.records,
        {name: round(spent, 2) for name, spent in seconds.items()},
        run.checks,
        asdict(run.reconstructed) if run.reconstructed else {},
        run.real,
    )


def analyse_model(
    model: nn.Module,
    config: QuantizationConfig,
    batches: Iterable[Any],
    state_file: str | os.PathLike | None = None,
    images: str = '',
) -> dict[str, RegionRecord]:
    """The records of a float model, as they are before functions are assigned.

    Args:
        model: As for :func:`quantize_model`. It stays a float model, but the exact
            rewrites of the config are made (pixels as input, equalization).
        config: What to quantize.
        batches: Calibration batches of this rank.
        state_file: Where to keep the records. An existing one of the same settings,
            weights and images is used.
        images: Describes the calibration images.

    Raises:
        ConfigError: See :func:`quantize_model`.
        ValueError: If weights or activations hold NaN.
    """
    run = started(model, config, batches, state_file, True, images)
    return done_until('analyse', run).state.records


def done_until(last: str, run: Run, after: str = '') -> Run:
    """A run with phases that are done now.

    Args:
        last: Name of the last one.
        run: As it was started.
        after: Name of the phase whose successor is the first one; ``''``: of all.
    """
    names = [phase.name for phase in PHASES]
    first = names.index(after) + 1 if after else 0
    for phase in PHASES[first : names.index(last) + 1]:
        phase.do(run)
    return run


def started(
    model: nn.Module,
    config: QuantizationConfig,
    batches: Iterable[Any],
    state_file: str | os.PathLike | None = None,
    resume: bool = False,
    images: str = '',
    seed: int = 0,
) -> Run:
    """A run of a checked config on a model that is rewritten, before the phases.

    Args:
        model: As for :func:`quantize_model`.
        config: What to quantize.
        batches: Calibration batches of this rank.
        state_file: Where to keep the records.
        resume: Whether to use an existing ``state_file``.
        images: Describes the calibration images.
        seed: Of what is random in the reconstruction.

    Raises:
        ConfigError: See :func:`quantize_model`.
    """
    model = unwrapped(model)
    forward: Any = model.test_step
    config = replace(config, regions=expanded(model, config.regions))
    check_regions(model, config)
    check_patterns(model, config)
    config = keep_modules_float(model, config)
    check_state(model, config.regions)
    check_times(config)
    for name in config.regions:
        check_derived(name, model.get_submodule(name))
    forget_caches(model, config, forward, batches)
    key = {} if state_file is None else state_key(model, config.described(), images)
    learning = repr((config.reconstruction, seed))
    state = State(state_file, key, resume, learning)
    run = Run(model, config, batches, forward, state, seed=seed)
    rewrite(run)
    return run
