"""What studies share: an analysed classifier, and measurements of assignments."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import print_log

from ...calibration import QuantizationConfig
from ...calibration.config import SQNR_DIFFERENCE
from ..calibration_data import build_calibration_dataloader
from ..loading.models import build_model
from ..quantize.hook import STATE_FILE
from ..quantize.model import analyse_model, quantize_model
from ..quantize.state import state_key
from .inputs import Batches, study_batches, study_settings
from .measurements import Measurements
from .site_candidates import SiteCandidate, assignment_of, site_candidates
from .what_if import WhatIf, best_sqnr, measurement

#: Name of the float logits among the measurements; their squares are the signal.
SIGNAL = 'float logits'
#: What the whole-model analysis found, beside the state of the quantization.
WHOLE_MODEL_FILE = 'whole_model.pth'


@dataclass
class Study:
    """A classifier that was analysed in both ways, ready to run any assignment.

    Attributes:
        model: The float model.
        settings: How it was quantized.
        what_if: Runs it with any assignment.
        candidates: All candidates at all sites.
        batches: The images to measure on.
        measured: What was measured on them.
    """

    model: Any
    settings: QuantizationConfig
    what_if: WhatIf
    candidates: list[SiteCandidate]
    batches: Batches
    measured: Measurements


def set_up(
    cfg: Config, folder: Path, images: int, split: str, literal: bool, draws: int = 1
) -> Study:
    """Analyse a classifier, or take over what an earlier study of it found.

    Args:
        cfg: The whole config.
        folder: The work dir.
        images: How many images to measure on.
        split: See :func:`~.inputs.study_batches`.
        literal: Whether the literal forms of the candidates join them.
        draws: Passes backward for a batch of the analysis.

    Raises:
        ConfigError: If the config asks for something impossible, there are too few
            images, or the model is no classifier.
    """
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
    return Study(model, settings, what_if, candidates, batches, measured)


def assignment_name(chosen: Iterable[SiteCandidate]) -> str:
    """The name of an assignment among the measurements."""
    text = json.dumps(assignment_of(chosen), sort_keys=True)
    return f'assignment {hashlib.sha256(text.encode()).hexdigest()[:16]}'


def measure_assignments(
    what_if: WhatIf,
    assignments: Iterable[list[SiteCandidate]],
    batches: Batches,
    measured: Measurements,
) -> None:
    """Measure full assignments in integers."""
    wanted = {assignment_name(c): assignment_of(c) for c in assignments}
    for images, batch in batches.each('assignments'):
        missing = [name for name in wanted if (name, images) not in measured]
        if missing:
            what_if.start(batch)
        if missing and (SIGNAL, images) not in measured:
            logits = what_if.logits
            measured.add(SIGNAL, images, measurement(torch.zeros_like(logits), logits))
        for name in missing:
            logits = what_if.in_integers(wanted[name])
            measured.add(name, images, measurement(logits, what_if.logits))
