"""The sites of a run as rows of a table, with all that is known of each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ...criteria import CandidateErrors, Criterion
from ...functions import function_name
from ...intmath import QParams
from ...plan import RegionPlan, SitePlan
from ...record import RegionRecord
from ...registry import CRITERIA
from .histograms import drawn_histogram
from .inputs import added_db
from .work_dir import WorkDir


def site_rows(found: WorkDir) -> list[dict[str, Any]]:
    """One row for each site, in the order of execution.

    Args:
        found: The run.

    Returns:
        Plain data. ``sqnr_db``, ``input_sqnr_db`` and ``lost_db`` are measured on
        images, of the whole model; candidates have those of the analysis. None:
        not known.
    """
    criterion = _criterion(found.results)
    rows = []
    for region, plan in found.plans.items():
        record = found.records.get(region)
        for site, decided in plan.sites.items():
            name = f'{region}:{site}'
            row = {
                'name': name,
                'region': region,
                'site': site,
                'block': site.split('/')[0],
                'kind': decided.operation,
                'function': function_name(decided.function) if decided.function else '',
                **_numbers(plan, record, site, decided),
                **_measured(found.measured, name),
                **_clipped(found.results, region, site),
            }
            if record is not None:
                row['calibrated'] = _calibrated(record, site)
                row['candidates'] = _candidates(record, site, row, criterion)
            rows.append(row)
    return rows


def _numbers(
    plan: RegionPlan, record: RegionRecord | None, site: str, decided: SitePlan
) -> dict[str, Any]:
    """Bits and ranges of what a site makes and takes, and its weight."""
    takes = {str(i): _range(q) for i, q in decided.inputs.items()}
    weight = None
    for source in record.sources.get(site, []) if record else []:
        name = (source or '').removeprefix('parameter:')
        parameter = plan.parameters.get(name) if name != source else None
        if parameter is not None and parameter.role not in ('bias', 'norm'):
            weight = {'name': name, 'bits': parameter.bits, 'group': parameter.group}
    return {
        'bits': decided.output.code_bits,
        'range': _range(decided.output),
        'takes': takes,
        'weight': weight,
        'weight_bits': weight and weight['bits'],
    }


def _range(q: QParams) -> dict[str, Any]:
    """Real ends of a quantizer, its step and its bits."""
    levels = None if q.levels is None else len(q.levels)
    return {
        'low': q.scale * q.qmin,
        'high': q.scale * q.qmax,
        'scale': q.scale,
        'bits': q.code_bits,
        'levels': levels,
    }


def _measured(measured: Mapping[str, Any], name: str) -> dict[str, Any]:
    seen = (measured.get('sites') or {}).get(name)
    if seen is None:
        return {'sqnr_db': None, 'input_sqnr_db': None, 'lost_db': None, 'seen': None}
    out, into = seen['sqnr_db'], seen['input_sqnr_db']
    lost = None if into is None else round(into - out, 2)
    return {'sqnr_db': out, 'input_sqnr_db': into, 'lost_db': lost, 'seen': seen}


def _clipped(results: Mapping[str, Any], region: str, site: str) -> dict[str, Any]:
    """What the evaluation clipped at a site: its result, and its operands."""
    logs = (results.get('out_of_range') or {}).get(region, {}).get('sites', {})
    mine = {n: s for n, s in logs.items() if n.partition('<-')[0] == site}
    share = max((_share(s) for s in mine.values()), default=0.0)
    steps = max((max(s['farthest']) for s in mine.values()), default=0)
    left = results.get('out_of_calibration') or []
    return {
        'clipped': share,
        'clipped_steps': steps,
        'clipped_db': max(map(_clipped_db, mine.values()), default=0.0),
        'clips': [
            {
                'name': n,
                'share': _share(s),
                'farthest': s['farthest'],
                'width': s['width'],
            }
            for n, s in mine.items()
        ],
        'left': [c for c in left if c.startswith(f"{region}: '{site}")],
    }


def _share(seen: Mapping[str, Any]) -> float:
    return (sum(seen['low']) + sum(seen['high'])) / max(1, seen['total'])


def _clipped_db(seen: Mapping[str, Any]) -> float:
    """What the clipped values add to the error of rounding to 8 bits, in dB, about."""
    squares = 0.0
    for counts, farthest in zip(
        (seen['low'], seen['high']), seen['farthest'], strict=True
    ):
        # By 2**i to 2**(i + 1) - 1 steps.
        distances = (min(1.5 * 2.0**i, farthest) for i in range(len(counts)))
        squares += sum(n * d * d for n, d in zip(counts, distances, strict=True))
    return round(added_db(squares / max(1, seen['total']), seen['width']), 2)


def _calibrated(record: RegionRecord, site: str) -> dict[str, Any] | None:
    statistics = record.values.get(site)
    if statistics is None or not statistics.count:
        return None
    return {'count': statistics.count, **drawn_histogram(statistics)}


def _candidates(
    record: RegionRecord,
    site: str,
    row: Mapping[str, Any],
    criterion: Criterion | None,
) -> list[dict[str, Any]]:
    """The candidate functions of a site: what is plotted, and what decided."""
    found = []
    for name, errors in record.candidates.get(site, {}).items():
        found.append(
            {
                'name': name,
                'chosen': name == row['function'],
                'sqnr_db': _finite(errors.sqnr_db, 2),
                'lost_db': _finite(errors.input_sqnr_db - errors.sqnr_db, 2),
                'output_error': _finite(errors.relative_output_error),
                'cost': _finite(errors.cost, 2),
                'score': _score(criterion, errors),
            }
        )
    refused = record.refused.get(site, {})
    return found + [{'name': n, 'refused': why} for n, why in refused.items()]


def _criterion(results: Mapping[str, Any]) -> Criterion | None:
    """The criterion that the run had; None: it is not known, or no longer there."""
    given = (results.get('quantization') or {}).get('criterion')
    try:
        return CRITERIA.build(dict(given)) if given else None
    except Exception:  # of another version, or of the user's own module
        return None


def _score(criterion: Criterion | None, errors: CandidateErrors) -> float | None:
    try:
        return None if criterion is None else _finite(criterion.score(errors))
    except Exception:  # a criterion that knows no scores of one candidate
        return None


def _finite(value: float, digits: int | None = None) -> float | None:
    """A number as JSON has it."""
    if not math.isfinite(value):
        return None
    return value if digits is None else round(value, digits)
