"""What is compared of several runs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..layers.work_dirs import names_of
from .cards import speed
from .sites import site_rows
from .verdict import metric_rows, verdict
from .work_dir import WorkDir, read_work_dir


def comparison(work_dirs: Sequence[str | os.PathLike]) -> dict[str, Any]:
    """What the template of a comparison names.

    Args:
        work_dirs: Folders of the runs.

    Raises:
        ConfigError: If a folder is named twice, or what a run left is damaged.
        FileNotFoundError: If a run left no results.
    """
    runs = {n: read_work_dir(path) for n, path in names_of(work_dirs).items()}
    rows = {name: site_rows(found) for name, found in runs.items()}
    sites = _sites(rows)
    return {
        'runs': [_summary(name, found) for name, found in runs.items()],
        'names': list(runs),
        'metrics': _metrics(runs),
        'settings': _differences(runs),
        'functions': _functions(rows),
        'sites': sites,
        'kinds': list(dict.fromkeys(s['kind'] for s in sites)),
        'measured': any(x is not None for s in sites for x in s['sqnr_db']),
        'documents': {name: found.text for name, found in runs.items()},
        'data': {'names': list(runs), 'sites': sites},
    }


def _summary(name: str, found: WorkDir) -> dict[str, Any]:
    results = found.results
    return {
        'name': name,
        'verdict': verdict(results, found.audit),
        'agreement': results.get('agreement'),
        'bytes': (results.get('bytes') or {}).get('integer.pth'),
        'speed': speed(results),
        'seconds': sum((results.get('seconds') or {}).values()),
    }


def _metrics(runs: dict[str, WorkDir]) -> list[dict[str, Any]]:
    """Each metric with the float value and the integer one of every run."""
    table: dict[str, dict[str, Any]] = {}
    for name, found in runs.items():
        for row in metric_rows(found.results):
            kept = table.setdefault(row['name'], {'float': {}, 'integer': {}})
            kept['float'][name] = row['float']
            kept['integer'][name] = row['integer']
    return [{'name': metric, **kept} for metric, kept in table.items()]


def _differences(runs: dict[str, WorkDir]) -> list[tuple[str, list[str]]]:
    """Settings, seeds and versions that are not the same in all runs."""
    flat = {}
    for name, found in runs.items():
        results = found.results
        given = {
            key: results.get(key)
            for key in ('config', 'checkpoint', 'seed', 'device', 'versions')
        }
        flat[name] = _flat({**given, 'quantization': results.get('quantization')})
    keys = dict.fromkeys(key for values in flat.values() for key in values)
    rows = [(key, [values.get(key, '–') for values in flat.values()]) for key in keys]
    return [(key, values) for key, values in rows if len(set(values)) > 1]


def _flat(value: Any, path: str = '') -> dict[str, str]:
    if isinstance(value, dict) and value:
        found: dict[str, str] = {}
        for key, part in value.items():
            found |= _flat(part, f'{path}.{key}' if path else str(key))
        return found
    return {path: '–' if value is None else str(value)}


def _functions(rows: dict[str, list[dict[str, Any]]]) -> list[tuple[str, list[int]]]:
    counts = {
        run: Counter(s['function'] for s in sites if s['function'])
        for run, sites in rows.items()
    }
    names = sorted({name for count in counts.values() for name in count})
    return [(name, [count[name] for count in counts.values()]) for name in names]


def _sites(rows: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Sites of all runs; figures in the order of the runs."""
    by_run = [{s['name']: s for s in sites} for sites in rows.values()]
    names = dict.fromkeys(name for sites in by_run for name in sites)
    table = []
    for name in names:
        own = [sites.get(name) for sites in by_run]
        first = next(s for s in own if s)
        table.append(
            {
                'name': name,
                'kind': first['kind'],
                **{
                    key: [s and s[key] for s in own]
                    for key in ('sqnr_db', 'lost_db', 'clipped', 'bits', 'function')
                },
            }
        )
    return table
