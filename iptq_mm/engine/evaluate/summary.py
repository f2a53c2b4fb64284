"""The summary of a run for the log: metrics, functions, saturation, times."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

from ..quantize.model import Quantization


def summary(results: dict[str, Any], quantization: Quantization, folder: Path) -> str:
    """Metrics side by side, functions by layer, saturation, times and files."""
    lines = [f'{"metric":<34}{"float":>12}{"integer":>12}{"difference":>12}']
    for key in {**results['float'], **results['integer']}:
        pair = [results[kind].get(key, math.nan) for kind in ('float', 'integer')]
        if all(isinstance(value, float) for value in pair):
            lines.append(
                f'{key:<34}{pair[0]:>12.4f}{pair[1]:>12.4f}{pair[1] - pair[0]:>+12.4f}'
            )
    if 'agreement' in results:
        lines.append(f'{"same top-1":<34}{"":>12}{results["agreement"]:>12.2%}')
    for key, value in results['output_sqnr_db'].items():
        lines.append(f'SQNR of output {key:<19}{"":>12}{value:>9.2f} dB')
    lines += ['', 'integer function by site:']
    for site, name in results['assignment'].items():
        region, _, path = site.partition(':')
        errors = quantization.records[region].candidates[path]
        figures = ', '.join(f'{n} {e.sqnr_db:.1f}' for n, e in sorted(errors.items()))
        lines.append(f'  {site:<46} {name:<18} SQNR dB: {figures}')
    lines += ['', 'functions chosen:']
    for name, count in Counter(results['assignment'].values()).most_common():
        lines.append(f'  {name:<20} {count}')
    lines += ['', *_saturation(results)]
    seconds = ', '.join(f'{k} {v:.0f}' for k, v in results['seconds'].items())
    lines += ['', f'seconds: {seconds}', f'written to {folder}']
    return '\n'.join(lines)


def _saturation(results: dict[str, Any]) -> list[str]:
    """Lines about clipped values, if they were counted."""
    if 'saturation' not in results:
        return ['saturated values: not counted by a back end']
    worst = sorted(results['saturation'].items(), key=lambda kv: -kv[1])
    saturated, total = results['saturated_values']
    return [
        f'saturated: {saturated} of {total} values ({saturated / total:.4%})',
        f'sites with saturated values: {len(worst)}; most:',
        *(f'  {site:<50} {share:.4%}' for site, share in worst[:8]),
    ]
