"""The measurement as Markdown."""

from __future__ import annotations

from typing import Any

from iptq_mm.utils.markdown import table


def report(result: dict[str, Any], command: str) -> str:
    """What :func:`~.measurement.measure` found, as a page.

    Args:
        result: Its result.
        command: That was given.
    """
    facts = ', '.join(f'{k} {v}' for k, v in result['machine'].items())
    return '\n'.join(
        [
            f'Measured by `{command}` on: {facts}.',
            '',
            '### The same integers as on the CPU',
            'Each call of a region in a prediction on the CPU, repeated on the device',
            'with the same inputs; values that left the region, and how many differ.',
            '',
            table(
                ['model', 'mode', 'region', 'calls', 'values', 'different'],
                [_exact(row) for row in result['exact']],
            ),
            '',
            '### Speed',
            'Median time of a batch. Classifiers begin with normalized images on the',
            'device; the detector runs from pixels to boxes and masks, its float parts',
            'included. "ready" is the time until the first answer.',
            '',
            table(
                ['model', 'batch', 'contender', 'ms', 'images/s', 'ready, s'],
                [_time(row) for row in result['times']],
            ),
            '',
        ]
    )


def differences(result: dict[str, Any]) -> int:
    """How many values differ from those of the CPU."""
    return sum(row.get('different', 0) for row in result['exact'])


def _exact(row: dict[str, Any]) -> list[str]:
    start = [row['model'], row['mode'], row['region']]
    if 'missing' in row:
        return [*start, row['missing'], '', '']
    return [*start, *(str(row[k]) for k in ('calls', 'values', 'different'))]


def _time(row: dict[str, Any]) -> list[str]:
    start = [row['model'], str(row['batch']), row['contender']]
    if 'missing' in row:
        return [*start, row['missing'], '', '']
    speed = row['batch'] / row['seconds']
    figures = f'{1e3 * row["seconds"]:.2f}', f'{speed:.0f}', f'{row["ready"]:.0f}'
    return [*start, *figures]
