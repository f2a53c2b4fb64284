"""Signs in the results that a quantized model is of no use."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, TypeGuard

#: Metrics that are better the larger they are, by what their names hold.
_LARGER_IS_BETTER = re.compile(
    r'acc|top-?\d|precision|recall|f1|\bm?ap\b|ap_?\d|map|miou|dice|auc|bleu|cider',
    re.IGNORECASE,
)
#: What is left of a metric where the model is of no use.
_LEAST_SHARE = 0.5
_LEAST_AGREEMENT = 0.5
#: From here on, the error of an output is as large as the output.
_LEAST_DB = 0.0


def warnings(results: Mapping[str, Any]) -> list[str]:
    """Warnings about results that show the integer model to be of no use.

    Args:
        results: As ``results.json`` has them: ``float`` and ``integer`` metrics,
            ``output_sqnr_db``, and ``agreement`` of classifiers.

    Returns:
        A sentence for each finding.
    """
    found = []
    integers = results.get('integer') or {}
    for key, value in (results.get('float') or {}).items():
        other = integers.get(key)
        if not _is_number(value) or not _LARGER_IS_BETTER.search(key):
            continue
        if not _is_number(other):
            found.append(f'{key} is {value:g} in floats and no number in integers')
        elif value > 0 and other < _LEAST_SHARE * value:
            found.append(f'{key} is {value:g} in floats and {other:g} in integers')
    agreement = results.get('agreement')
    if _is_number(agreement) and agreement < _LEAST_AGREEMENT:
        found.append(
            f'floats and integers agree on the class of {agreement:.1%} of the images'
        )
    for key, value in (results.get('output_sqnr_db') or {}).items():
        if not _is_number(value) or value < _LEAST_DB:
            found.append(
                f'the error of output {key} is larger than the output itself '
                f'(SQNR {value} dB)'
            )
    return found


def _is_number(value: Any) -> TypeGuard[float]:
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return numeric and math.isfinite(value)
