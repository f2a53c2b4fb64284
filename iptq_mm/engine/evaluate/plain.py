"""Metrics as plain data."""

from __future__ import annotations

import math
from typing import Any


def plain(metrics: dict[str, Any]) -> dict[str, Any]:
    """Metrics as JSON has them: numbers, lists and text."""
    return {k: _plain_value(v) for k, v in metrics.items()}


def _plain_value(value: Any) -> Any:
    if hasattr(value, 'tolist'):  # tensors and arrays
        value = value.tolist()
    if isinstance(value, dict):
        return {str(k): _plain_value(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_value(v) for v in value]
    if isinstance(value, int | float):
        # JSON has no NaN.
        return round(float(value), 6) if math.isfinite(value) else None
    return None if value is None else str(value)
