"""The report of a run as a page, and that of several runs."""

from __future__ import annotations

import json
import logging
import math
import os
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from ...operations import OPERATIONS, NonLinear
from ...utils.files import atomic_write
from ...version import __version__
from ...visualization import TITLES
from ...visualization.page import render
from .cards import cards, facts, speed
from .comparison import comparison
from .look import where_to_look
from .native_times import native_rows, native_sentence
from .sensitivity import PARTS, sensitivity, shares
from .sites import site_rows
from .verdict import metric_rows, verdict
from .work_dir import WorkDir, read_work_dir

#: The report, in the work dir.
REPORT_FILE = 'report.html'
#: That of several runs, where no other name is given.
COMPARISON_FILE = 'comparison.html'

_KINDS = [kind for kind, x in OPERATIONS.items() if isinstance(x, NonLinear)]


def try_report(work_dir: str | os.PathLike) -> Path | None:
    """:func:`write_report` at the end of a run, which nothing of it may fail."""
    try:
        return write_report(work_dir)
    except Exception as error:  # whatever it is, all results are written
        print_log(
            f'{Path(work_dir) / REPORT_FILE} could not be written '
            f'({type(error).__name__}: {error}); all results are written',
            'current',
            logging.WARNING,
        )
        return None


def write_report(work_dir: str | os.PathLike) -> Path:
    """Write the report of a run into its work dir.

    Args:
        work_dir: Folder that ``tools/quantize.py`` or ``tools/train.py`` wrote.

    Returns:
        The file, ``report.html``: all of it is inside, and it loads nothing.

    Raises:
        ConfigError: If what the run left is damaged.
        FileNotFoundError: If it left no results.
        OSError: If the file cannot be written.
    """
    found = read_work_dir(work_dir)
    path = found.path / REPORT_FILE
    atomic_write(path, _run_page(found))
    return path


def write_comparison(
    work_dirs: Sequence[str | os.PathLike], out: str | os.PathLike | None = None
) -> Path:
    """Write a page that compares runs.

    Args:
        work_dirs: Folders of the runs.
        out: The file; None: ``comparison.html`` in the first folder.

    Returns:
        The file.

    Raises:
        ConfigError: If a folder is named twice, or what a run left is damaged.
        FileNotFoundError: If a run left no results.
        OSError: If the file cannot be written.
    """
    path = Path(out or Path(work_dirs[0]) / COMPARISON_FILE)
    page = comparison(work_dirs)
    text = render(
        'comparison.html',
        title=f'{len(work_dirs)} runs compared',
        version=__version__,
        titles=TITLES,
        nonlinear=_KINDS,
        made=datetime.now().strftime('%Y-%m-%d %H:%M'),
        **page,
    )
    atomic_write(path, text)
    return path


def _run_page(found: WorkDir) -> str:
    results, sites = found.results, site_rows(found)
    measured = found.measured
    made = (found.path / 'results.json').stat().st_mtime
    kinds = list(dict.fromkeys(s['kind'] for s in sites))
    functions = Counter(s['function'] for s in sites if s['function'])
    quantization = results.get('quantization') or {}
    parameters = _parameters(found)
    audit = found.audit
    native = measured.get('native') or {}
    steps = native_rows(native)
    alone = sensitivity(found.diagnosis, {s['name']: i for i, s in enumerate(sites)})
    return render(
        'run.html',
        title=Path(results.get('config') or found.path.resolve()).stem,
        version=__version__,
        made=datetime.fromtimestamp(made).strftime('%Y-%m-%d %H:%M'),
        text=found.text,
        results=results,
        metrics=metric_rows(results),
        verdict=verdict(results, audit),
        cards=cards(found),
        sites=sites,
        names={s['name'] for s in sites},
        measured=measured if measured.get('sites') else None,
        tried=any(s.get('candidates') for s in sites),
        regions=list(found.plans),
        kinds=kinds,
        nonlinear=[kind for kind in _KINDS if kind in kinds],
        titles=TITLES,
        functions=sorted(functions),
        counts=functions.most_common(),
        differing=measured.get('differing') or [],
        difference_meaning=measured.get('difference_meaning', ''),
        out_of_range=results.get('out_of_range') or {},
        speed=speed(results),
        look=where_to_look(found, sites),
        steps=steps,
        alone=alone,
        parts=PARTS,
        shares=shares([e['parts'] for e in found.diagnosis.get('effects') or []]),
        diagnosis=found.diagnosis,
        native_sentence=native_sentence(native),
        numbers=_numbers(results),
        audit=audit,
        audit_sentence=(audit or {}).get('floats', ''),
        kept_float=[f'{r}.{k}' for r, p in found.plans.items() for k in p.kept_float],
        parameters=parameters,
        roles=sorted({p['role'] for p in parameters}),
        facts=facts(found),
        settings=json.dumps(quantization, indent=1) if quantization else '',
        missing=found.missing,
        data={
            'sites': sites,
            'seconds': results.get('seconds') or {},
            'steps': steps,
            'alone': alone,
            'criterion': (quantization.get('criterion') or {}).get('type'),
        },
    )


def _parameters(found: WorkDir) -> list[dict[str, Any]]:
    return [
        {
            'name': f'{region}.{name}',
            'role': p.role,
            'bits': p.bits,
            'shape': ' × '.join(map(str, p.shape)),
            'count': math.prod(p.shape),
            'scales': len(p.scale) if isinstance(p.scale, list) else 1,
            'group': p.group,
        }
        for region, plan in found.plans.items()
        for name, p in plan.parameters.items()
    ]


def _numbers(results: dict[str, Any]) -> str:
    """How many parameters are integers, as a sentence."""
    numbers = results.get('numbers')
    if not numbers:
        return ''
    total = numbers['integer'] + numbers['float']
    share = numbers['float'] / total if total else 0.0
    return (
        f'{numbers["integer"]} of {total} parameters are integers; {numbers["float"]} '
        f'({share:.2%}) stay float.'
    )
