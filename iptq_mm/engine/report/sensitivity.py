"""What each layer does to the outputs by itself, as a diagnosis has measured it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

#: Parts of a site, in the order in which they are shown.
PARTS = ('weights', 'inputs', 'function', 'output')


def sensitivity(
    diagnosis: Mapping[str, Any], places: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Rows of a table, in the order of execution.

    Args:
        diagnosis: What ``diagnosis.json`` holds.
        places: Number of each site in that order.

    Returns:
        Plain data: ``name``, ``place``, ``kind``, ``db`` and ``error`` of the whole
        site, and ``parts``, the same of each; None where nothing changes.
    """
    rows = [
        {
            'name': effect['site'],
            'place': places.get(effect['site'], 0),
            'kind': effect['kind'],
            'error': effect['error'],
            'db': _decibels(effect['error']),
            'parts': {
                part: {'error': error, 'db': _decibels(error)}
                for part, error in effect['parts'].items()
            },
        }
        for effect in diagnosis.get('effects') or []
    ]
    return sorted(rows, key=lambda row: row['place'])


def shares(rows: list[dict[str, Any]]) -> dict[str, float]:
    """The share of each part in the errors of all; empty where some are not known."""
    if not rows or not all(row['parts'] for row in rows):
        return {}
    sums = {p: sum(row['parts'][p]['error'] for row in rows) for p in PARTS}
    total = sum(sums.values()) or 1.0
    return {part: error / total for part, error in sums.items()}


def _decibels(error: float) -> float | None:
    return round(-10 * math.log10(error), 2) if error > 0 else None
