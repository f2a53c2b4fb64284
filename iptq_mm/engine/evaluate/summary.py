"""The summary of a run for the log: metrics, functions, saturation, times."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

from ...guarantee import Guarantee
from ..quantize.model import Quantization


def summary(results: dict[str, Any], quantization: Quantization, folder: Path) -> str:
    """Metrics side by side, functions by layer, saturation, times and files."""
    lines = [f'{"metric":<34}{"float":>12}{"integer":>12}{"difference":>12}']
    for key in {**results['float'], **results['integer']}:
        pair = [results[kind].get(key, math.nan) for kind in ('float', 'integer')]
        if not results['float'] and isinstance(pair[1], float):
            lines.append(f'{key:<34}{"not run":>12}{pair[1]:>12.4f}')
        elif all(isinstance(value, float) for value in pair):
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
    if 'guarantee' in results:
        lines += ['', *_guarantee(results['guarantee'])]
    seconds = ', '.join(f'{k} {v:.0f}' for k, v in results['seconds'].items())
    lines += ['', f'seconds: {seconds}', f'written to {folder}']
    return '\n'.join(lines)


def _guarantee(found: dict[str, Any]) -> list[str]:
    """Lines about what is certain of the answers."""
    seen = found['evaluation']
    return [
        *Guarantee.from_dict(found).sentences(),
        f'flagged in the evaluation: {seen["flagged"]} of {seen["images"]} images'
        + (', more than of the held-out ones' if seen['alarm'] else ''),
    ]


def _saturation(results: dict[str, Any]) -> list[str]:
    """Lines about clipped values, if they were counted."""
    worst = sorted(results['saturation'].items(), key=lambda kv: -kv[1])
    saturated, total = results['saturated_values']
    logs = results['out_of_range'].items()
    counted = ', '.join(f'{n} {log["counted"]} of {log["rows"]}' for n, log in logs)
    return [
        f'rows (images, boxes) that were counted: {counted}',
        f'saturated: {saturated} of {total} values ({saturated / max(1, total):.4%})',
        f'sites with saturated values: {len(worst)}; most, and the largest distance '
        'from the range in its steps:',
        *(
            f'  {site:<50} {share:.4%} {_distance(results, site)}'
            for site, share in worst[:8]
        ),
        f'quantizers that left their calibration: {len(results["out_of_calibration"])}',
        *(f'  {clause}' for clause in results['out_of_calibration'][:8]),
    ]


def _distance(results: dict[str, Any], site: str) -> str:
    """How far the values of a site lie outside: ``300 of 255`` steps."""
    region, _, name = site.partition(':')
    seen = results['out_of_range'][region]['sites'][name]
    return f'{max(seen["farthest"])} of {seen["width"]}'
