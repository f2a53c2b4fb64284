"""What a run will do, and what share of its time each phase is likely to take."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...calibration import QuantizationConfig
from ...calibration.phases.guard.widen import IMAGES as WIDENING_IMAGES
from ...utils.durations import duration

#: Passes of the float model that a phase is worth for each of its images: of most, its
#: seconds on DeiT-Tiny (W8A8, guarded, 128 images) over images, beside those of the
#: float model in the evaluation. `search`, `recalibrate`, `reconstruct` and `compiled`
#: are estimates. They need not be exact: a bar goes by what it has seen.
_PASSES = {
    'equalize': 2.0,
    'observe': 2.0,
    'search': 6.0,
    'guard': 20.0,
    'widen': 2.0,
    'analyse': 10.0,
    'assign': 0.0,
    'recalibrate': 4.0,
    'measure': 2.5,
    'freeze': 2.0,
    'reconstruct': 16.0,  # for each epoch
    'check': 1.0,
}
#: The same of an integer model in the evaluation, by back end.
_INTEGER = {'native': 0.4, 'compiled': 0.6}
_EAGER = 6.0
#: Share of a run that its report may take.
_REPORT = 0.03


@dataclass
class Outlook:
    """Phases that are still to come, and what they are worth.

    Attributes:
        weights: By phase, its part of the work, in any unit.
        seconds: What finished phases took.
    """

    weights: dict[str, float]
    seconds: dict[str, float] = field(default_factory=dict)

    def text(self) -> str:
        """The phases in their order with their shares."""
        total = sum(self.weights.values()) or 1.0
        shown = (f'{n} {_percent(w / total)}' for n, w in self.weights.items())
        return f'phases, and the share of the time that is expected: {", ".join(shown)}'

    def finish(self, phase: str, seconds: float) -> None:
        """Note what a phase took."""
        if phase in self.weights:
            self.seconds[phase] = seconds

    def now(self, phase: str, done: float, spent: float) -> str:
        """Where the whole run is, in words; nothing where that cannot be said.

        Args:
            phase: The one that runs; what follows a colon or a space is no part of it.
            done: What part of it is done.
            spent: Seconds that it took.
        """
        name = phase.partition(':')[0].partition(' ')[0]
        if name not in self.weights or name in self.seconds:
            return ''
        finished = sum(self.weights[n] for n in self.seconds)
        worked = finished + self.weights[name] * done
        took = sum(self.seconds.values()) + spent
        total = sum(self.weights.values())
        if not worked or not total:
            return ''
        left = took / worked * (total - worked)
        return f'; run: {worked / total:.0%}, about {duration(left)} left'


def expected(
    phases: Sequence[str],
    config: QuantizationConfig,
    images: int,
    evaluated: int,
    float_images: int,
    backend: str | None,
    report: bool,
    work_dir: str | os.PathLike,
    training: Mapping[str, float] | None = None,
) -> Outlook:
    """What a run will do.

    Where an earlier run of these phases left its times in the work dir, they say what a
    phase is worth; else the number of its images does.

    Args:
        phases: Names of those of the quantization that are wanted and not done yet.
        config: Says how many images each looks at.
        images: Number of calibration images.
        evaluated: Number of evaluated images.
        float_images: How many of them the float model sees.
        backend: What runs the integer model.
        report: Whether a report is written.
        work_dir: Of the run.
        training: Phases between the quantization and the evaluation, with what they are
            worth, in passes of the float model for an image; None: there are none.
    """
    looked = {
        'search': config.activation.search_images,
        'guard': config.activation.guard_images,
        'widen': config.activation.guard_images or WIDENING_IMAGES,
        'analyse': config.calibration.analysis_images,
    }
    weights = {
        name: _PASSES[name] * min(images, looked.get(name, images)) for name in phases
    }
    if 'reconstruct' in weights:
        weights['reconstruct'] *= config.reconstruction.epochs
    weights.update(training or {})
    weights['evaluate'] = float_images + integer_passes(backend) * evaluated
    weights = _as_earlier(weights, work_dir)
    if report:
        weights['report'] = _REPORT * sum(weights.values())
    return Outlook(weights)


def integer_passes(backend: str | None) -> float:
    """Passes of the float model that one of the integer model is worth.

    Args:
        backend: What runs it; None: the eager mode.
    """
    return _INTEGER.get(backend or '', _EAGER)


def _as_earlier(
    weights: dict[str, float], work_dir: str | os.PathLike
) -> dict[str, float]:
    """The times of an earlier run, if it left those of all these phases."""
    try:
        text = (Path(work_dir) / 'results.json').read_text(encoding='utf-8')
        seconds = json.loads(text)['seconds']
        took = {**seconds, 'evaluate': seconds.get('float', 0.0) + seconds['integer']}
        return {name: float(took[name]) for name in weights}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return weights


def _percent(share: float) -> str:
    return f'{share:.0%}' if share >= 0.005 else 'below 1%'
