"""The study: measures every candidate at every site, and compares the criteria."""

from __future__ import annotations

import copy
import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log

from ...calibration.config import SQNR_DIFFERENCE
from ..calibration_data import build_calibration_dataloader
from ..loading.models import build_model, read_config
from ..quantize.hook import STATE_FILE
from ..quantize.model import analyse_model, quantize_model
from ..quantize.state import state_key
from . import report
from .figures import least_degrading
from .inputs import Batches, study_batches, study_settings
from .measurements import Measurements
from .site_candidates import (
    FORMS,
    SiteCandidate,
    assignment_of,
    by_site,
    sets_of,
    site_candidates,
)
from .variants import rules
from .what_if import WhatIf, best_sqnr, measurement, with_site

#: Name of the float logits among the measurements; their squares are the signal.
SIGNAL = 'float logits'
#: What the whole-model analysis found, beside the state of the quantization.
WHOLE_MODEL_FILE = 'whole_model.pth'


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
    settings = study_settings(cfg, literal, draws)
    model = build_model(cfg)
    seed = (cfg.get('randomness') or {}).get('seed') or 0
    calibration = build_calibration_dataloader(cfg, settings, seed)
    batches = study_batches(cfg, settings, calibration, images, split, seed)
    sources = [cfg.get(f'{name}_dataloader') for name in ('train', 'test')]
    described = repr((seed, split, sources))
    # Effects do not depend on the gradients.
    key = state_key(model, repr(study_settings(cfg, literal)), described)
    integer_model = copy.deepcopy(model)
    quantized = quantize_model(
        integer_model, settings, calibration, folder / STATE_FILE, True, described
    )
    whole = analyse_model(
        copy.deepcopy(model),
        replace(settings, analysis='whole-model', criterion=SQNR_DIFFERENCE),
        calibration,
        folder / WHOLE_MODEL_FILE,
        described,
    )
    measured = Measurements(folder / 'effects.jsonl', key)
    if measured.resumed:
        print_log(
            f'{measured.path}: {measured.resumed} measurements are there', 'current'
        )
    reference = best_sqnr(quantized.records)
    what_if = WhatIf(model, integer_model, settings, quantized, reference)
    candidates = site_candidates(quantized.records, whole)
    _measure_candidates(what_if, candidates, batches, measured)
    for candidate in candidates:
        candidate.take(measured, batches.numbers)
    sections = {}
    for title, some in sets_of(candidates).items():
        assignments = _assignments(some)
        _measure_assignments(what_if, assignments, batches, measured)
        assigned = [
            report.Assigned(
                name,
                sum(candidate.errors.total_cost for candidate in chosen),
                measured.over(_assignment_name(chosen), batches.numbers),
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


def _assignment_name(chosen: list[SiteCandidate]) -> str:
    text = json.dumps(assignment_of(chosen), sort_keys=True)
    return f'assignment {hashlib.sha256(text.encode()).hexdigest()[:16]}'


def _measure_assignments(
    what_if: WhatIf,
    assignments: dict[str, list[SiteCandidate]],
    batches: Batches,
    measured: Measurements,
) -> None:
    """Measure full assignments in integers."""
    wanted = {_assignment_name(c): assignment_of(c) for c in assignments.values()}
    for images, batch in batches.each('assignments'):
        missing = [name for name in wanted if (name, images) not in measured]
        if missing:
            what_if.start(batch)
        for name in missing:
            logits = what_if.in_integers(wanted[name])
            measured.add(name, images, measurement(logits, what_if.logits))
