"""What the figures of a run mean, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def metric_rows(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Float and integer metrics side by side; None where one is missing."""
    floats, integers = results.get('float') or {}, results.get('integer') or {}
    rows = []
    for name in {**floats, **integers}:
        pair = floats.get(name), integers.get(name)
        both = all(isinstance(x, int | float) for x in pair)
        difference = pair[1] - pair[0] if both else None  # type: ignore[operator]
        rows.append(
            {
                'name': name,
                'float': pair[0],
                'integer': pair[1],
                'difference': difference,
            }
        )
    return rows


def verdict(results: Mapping[str, Any], audit: Mapping[str, Any] | None) -> dict:
    """A word, a sentence and findings about a run.

    Args:
        results: What ``results.json`` holds.
        audit: What ``audit.json`` holds; None: there is none.

    Returns:
        ``state`` (``good``, ``look`` or ``bad``), ``word``, ``sentence``, ``findings``.
    """
    findings = list(results.get('warnings') or [])
    left = list(results.get('out_of_calibration') or [])
    unproved = bool(audit) and not (audit or {}).get('holds')
    if unproved:
        findings.append('The audit does not hold: see tools/audit.py.')
    if findings:
        state, word = 'bad', 'Do not ship this.'
    elif left:
        state, word = 'look', 'Look before you ship this.'
        findings = left
    else:
        state, word = 'good', 'Nothing speaks against it.'
    return {
        'state': state,
        'word': word,
        'sentence': _sentence(results),
        'findings': findings,
    }


def headline(results: Mapping[str, Any]) -> str:
    """The first metric of both models, as a clause."""
    rows = [r for r in metric_rows(results) if isinstance(r['integer'], int | float)]
    if not rows:
        return 'There are no metrics.'
    row = rows[0]
    if row['difference'] is None:
        return f'{row["name"]} is {row["integer"]:g} in integers.'
    return (
        f'{row["name"]} is {row["float"]:g} in floats and {row["integer"]:g} in '
        f'integers ({row["difference"]:+.2g}).'
    )


def _sentence(results: Mapping[str, Any]) -> str:
    parts = [headline(results)]
    if isinstance(results.get('agreement'), int | float):
        share = results['agreement']
        parts.append(f'Both name the same class for {share:.2%} of the images.')
    levels = [
        value
        for value in (results.get('output_sqnr_db') or {}).values()
        if isinstance(value, int | float) and math.isfinite(value)
    ]
    if levels:
        parts.append(f'Outputs have an SQNR of {min(levels):g} dB or more.')
    return ' '.join(parts)
