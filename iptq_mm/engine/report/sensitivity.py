"""What each layer does to the outputs by itself, as a diagnosis has measured it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

#: What of a site can be as in the integer model, each by itself.
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


def shares(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The share of each part in the errors of all sites.

    Args:
        parts: Of each site, the error of each part; empty where it is not known.

    Returns:
        By part; empty unless all are known.
    """
    if not parts or not all(parts):
        return {}
    sums = {part: sum(errors[part] for errors in parts) for part in PARTS}
    total = sum(sums.values()) or 1.0
    return {part: error / total for part, error in sums.items()}


def _decibels(error: float) -> float | None:
    return round(-10 * math.log10(error), 2) if error > 0 else None
