"""The figures of a study as CSV and Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ...utils.files import atomic_write
from ...utils.markdown import table
from .figures import (
    KINDS,
    Correlation,
    Spread,
    least_degrading,
    picks,
    picks_of,
    predictive,
    repeatability,
)
from .measurements import Measurement
from .site_candidates import FORMS, SiteCandidate
from .variants import Rule

_TITLES = {
    'integer': 'Degradation in the integer model (every other site at its best SQNR)',
    'float': 'Degradation alone in the float model',
}
#: Rows of tables that are no criterion.
MEASURED = 'measured: {}'


class Assigned:
    """A full assignment and its measurements.

    Args:
        name: Name of the criterion that chose it.
        operations: Weighted operations of an image, all non-linear sites.
        measurement: Measured.
        signal: Squared logits by image.
    """

    def __init__(
        self,
        name: str,
        operations: float,
        measurement: Measurement,
        signal: Measurement,
    ) -> None:
        self.name, self.operations = name, operations
        self.sqnr_db = decibels(np.array(signal.error), np.array(measurement.error))
        self.agreement = float(np.mean(measurement.same))


def decibels(signal: np.ndarray, error: np.ndarray) -> float:
    """``10 log10`` of signal over error, summed over images."""
    total = float(error.sum())
    return 10 * float(np.log10(signal.sum() / total)) if total else float('inf')


def candidates_csv(
    candidates: list[SiteCandidate],
    rules: Mapping[str, Rule],
    signal: np.ndarray,
) -> str:
    """CSV with a line for each candidate: scores by all rules, measurements."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    measured = [f'{what}, {form}' for form in FORMS for what in ('SQNR', 'agreement')]
    writer.writerow(['region', 'site', 'kind', 'candidate', *rules, *measured])
    for candidate in candidates:
        scores = [f'{rule.score(candidate):.6g}' for rule in rules.values()]
        measurements = []
        for form in FORMS:
            measurements.append(f'{decibels(signal, candidate.degradation[form]):.3f}')
            measurements.append(f'{candidate.agreement[form]:.4f}')
        writer.writerow(
            [
                candidate.region,
                candidate.site,
                candidate.kind,
                candidate.function,
                *scores,
                *measurements,
            ]
        )
    return text.getvalue()


def tables(
    candidates: list[SiteCandidate],
    rules: Mapping[str, Rule],
    assigned: list[Assigned],
) -> str:
    """Markdown: rank correlations and picks for both forms, full assignments."""
    parts = []
    for form in FORMS:
        rows = [
            _correlation_row(name, predictive(candidates, rule, form))
            for name, rule in rules.items()
        ]
        rows.append(
            _correlation_row(
                MEASURED.format('the other half of the images'),
                Spread(repeatability(candidates, form), _NOTHING),
            )
        )
        head = ['rank correlation', 'within a site', *KINDS, 'all pairs']
        parts += [f'### {_TITLES[form]}', table(head, rows) + '\n']
        chosen = [(n, picks_of(candidates, c, form)) for n, c in rules.items()]
        for other in FORMS:
            if other != form:
                name = MEASURED.format(f'least degradation, {other}')
                chosen.append((name, picks(candidates, least_degrading(other), form)))
        rows = [
            [n, f'{p.best:.0%}', f'{p.near:.0%}', f'{p.loss_db:.2f}'] for n, p in chosen
        ]
        head = ['pick', 'best', 'within 0.1 dB', 'mean loss, dB']
        parts.append(table(head, rows) + '\n')
    rows = [
        [a.name, f'{a.sqnr_db:.2f}', f'{a.agreement:.1%}', f'{a.operations / 1e6:.2f}']
        for a in assigned
    ]
    head = ['all sites chosen by', 'logit SQNR, dB', 'same class', 'operations, 10^6']
    return '\n'.join(
        [*parts, '### Full assignments, in integers', table(head, rows) + '\n']
    )


def write(folder: Path, sections: Mapping[str, str], lines: str) -> Path:
    """Write ``criteria.md`` and ``criteria.csv``; the path of the first."""
    atomic_write(folder / 'criteria.csv', lines)
    text = '\n'.join(f'## {title}\n\n{body}' for title, body in sections.items())
    atomic_write(folder / 'criteria.md', text)
    return folder / 'criteria.md'


_NOTHING = Correlation(float('nan'), dict.fromkeys(KINDS, float('nan')), float('nan'))


def _correlation_row(name: str, found: Spread) -> list[str]:
    def cell(value: float, error: float) -> str:
        if np.isnan(value):
            return ''
        return f'{value:.2f}' + ('' if np.isnan(error) else f' ± {error:.2f}')

    value, error = found
    return [
        name,
        cell(value.within, error.within),
        *(cell(value.kinds[kind], error.kinds[kind]) for kind in KINDS),
        cell(value.overall, error.overall),
    ]
