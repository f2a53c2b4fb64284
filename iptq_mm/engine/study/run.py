"""The study: measures every candidate at every site, and compares the criteria."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..loading.models import read_config
from . import report
from .figures import least_degrading
from .inputs import Batches
from .measurements import Measurements
from .setup import SIGNAL, assignment_name, measure_assignments, set_up
from .site_candidates import (
    FORMS,
    SiteCandidate,
    by_site,
    sets_of,
)
from .variants import rules
from .what_if import WhatIf, measurement, with_site


def study_criteria(
    config: str | os.PathLike,
    checkpoint: str | None = None,
    *,
    work_dir: str | None = None,
    images: int = 64,
    split: str = 'calibration',
    literal: bool = True,
    draws: int = 1,
    cfg_options: dict[str, Any] | None = None,
) -> Path:
    """Measure every candidate at every site and compare the criteria with it.

    The model is quantized with the candidate of the best SQNR at every site; then
    each site gets each other candidate. Beside it, the float model gets each
    candidate at one site. Degradation is the squared error of the logits. Parameters
    stay as they are: equalization is left out.

    An interrupted study is resumed, and a study of more images reuses the
    measurements of one of fewer.

    Args:
        config: Config of a classifier with a quantization dict.
        checkpoint: Float checkpoint; None: ``load_from`` of the config.
        work_dir: Where to write ``criteria.md``, ``criteria.csv``, the measurements
            that were measured and the calibration.
        images: How many images to measure on.
        split: ``calibration``: those of the calibration dataset that were not
            calibrated with; ``val``: those of the evaluation.
        literal: Whether the literal forms of the candidates join them.
        draws: Passes backward for a batch of the analysis.
        cfg_options: Overrides, by dotted key.

    Returns:
        The path of ``criteria.md``.

    Raises:
        ConfigError: If the config asks for something impossible, there are too
            few images, or the model is no classifier.
        FileNotFoundError: If there is no such config or checkpoint.
    """
    cfg = read_config(config, checkpoint, cfg_options)
    folder = Path(work_dir or f'work_dirs/{Path(config).stem}_criteria')
    study = set_up(cfg, folder, images, split, literal, draws)
    what_if, candidates = study.what_if, study.candidates
    batches, measured = study.batches, study.measured
    _measure_candidates(what_if, candidates, batches, measured)
    for candidate in candidates:
        candidate.take(measured, batches.numbers)
    sections = {}
    for title, some in sets_of(candidates).items():
        assignments = _assignments(some)
        measure_assignments(what_if, assignments.values(), batches, measured)
        assigned = [
            report.Assigned(
                name,
                sum(candidate.errors.total_cost for candidate in chosen),
                measured.over(assignment_name(chosen), batches.numbers),
                measured.over(SIGNAL, batches.numbers),
            )
            for name, chosen in assignments.items()
        ]
        sections[title] = report.tables(some, rules(), assigned)
    signal = np.array(measured.over(SIGNAL, batches.numbers).error)
    return report.write(
        folder, sections, report.candidates_csv(candidates, rules(), signal)
    )


def _measure_candidates(
    what_if: WhatIf,
    candidates: list[SiteCandidate],
    batches: Batches,
    measured: Measurements,
) -> None:
    """Measure every candidate in both forms, each by itself."""
    for images, batch in batches.each('measure'):
        missing = [
            candidate
            for candidate in candidates
            if not all((candidate.name(form), images) in measured for form in FORMS)
        ]
        if not missing:
            continue
        what_if.start(batch)
        logits = what_if.logits
        measured.add(SIGNAL, images, measurement(torch.zeros_like(logits), logits))
        for candidate in missing:
            region, site, function = (
                candidate.region,
                candidate.site,
                candidate.function,
            )
            changed = with_site(what_if.reference, region, site, function)
            integer = measurement(what_if.in_integers(changed), logits)
            alone = measurement(what_if.in_floats({region: {site: function}}), logits)
            measured.add(candidate.name('integer'), images, integer)
            measured.add(candidate.name('float'), images, alone)


def _assignments(candidates: list[SiteCandidate]) -> dict[str, list[SiteCandidate]]:
    """The candidate that each rule picks at every site, and the best measured."""
    sites = by_site(candidates)
    chosen = {n: [rule.pick(site) for site in sites] for n, rule in rules().items()}
    for form in FORMS:
        name = report.MEASURED.format(f'least degradation, {form}')
        chosen[name] = [least_degrading(form)(site) for site in sites]
    return chosen
