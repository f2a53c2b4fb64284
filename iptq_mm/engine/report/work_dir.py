"""What a run left in its work dir, as far as it is there."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ...calibration import ConfigError
from ...plan import RegionPlan, load_plan
from ...record import RegionRecord
from ..layers.work_dirs import file_in
from ..quantize.hook import STATE_FILE

#: What a run measures for its report, beside the results.
MEASURED_FILE = 'measured.json'
#: What ``tools/diagnose.py --json`` writes, if it is told to write it there.
DIAGNOSIS_FILE = 'diagnosis.json'
#: What ``tools/audit.py --json`` writes, if it is told to write it there.
AUDIT_FILE = 'audit.json'


@dataclass
class WorkDir:
    """The files of a run.

    Attributes:
        path: The folder.
        results: What ``results.json`` holds.
        text: ``results.json`` as it is.
        plans: By region.
        records: By region; empty: calibration was not kept.
        measured: What ``measured.json`` holds.
        audit: What ``audit.json`` holds; None: there is none.
        diagnosis: What ``diagnosis.json`` holds; empty: there is none of this model.
        missing: Sentences about what is not there, and how to get it.
    """

    path: Path
    results: dict[str, Any]
    text: str
    plans: dict[str, RegionPlan]
    records: dict[str, RegionRecord] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)
    audit: dict[str, Any] | None = None
    diagnosis: dict[str, Any] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)


def read_work_dir(folder: str | os.PathLike) -> WorkDir:
    """Read what a run left.

    Args:
        folder: A work dir of ``tools/quantize.py`` or ``tools/train.py``.

    Raises:
        ConfigError: If ``results.json`` is damaged.
        FileNotFoundError: If results or plan are missing.
        PlanError: If the plan is damaged.
    """
    path = file_in(folder, 'results.json')
    text = path.read_text(encoding='utf-8')
    results = _parsed(text, path)
    plans = load_plan(file_in(folder, 'plan.json'))
    found = WorkDir(Path(folder), results, text, plans)
    _read_records(found)
    _read_measured(found)
    _read_diagnosis(found)
    audit = found.path / AUDIT_FILE
    if audit.is_file():
        found.audit = _parsed(audit.read_text(encoding='utf-8'), audit)
    else:
        found.missing.append(
            'That no integer can overflow is not proved here: tools/audit.py '
            f'{found.path}/integer.py --json {audit} proves it; then make the report '
            'again with tools/report.py.'
        )
    return found


def _parsed(text: str, path: Path) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ConfigError(f'{path} is damaged ({error}): run it again') from error
    if not isinstance(data, dict):
        raise ConfigError(f'{path} is damaged: it holds no results')
    return data


def _read_records(found: WorkDir) -> None:
    """Read what calibration saw, if it is of the same sites."""
    path = found.path / STATE_FILE
    why = 'is not there'
    if path.is_file():
        try:
            state = torch.load(path, map_location='cpu', weights_only=True)
            records = {
                name: RegionRecord.from_state_dict(record)
                for name, record in state['records'].items()
            }
        except Exception as error:  # torch.load raises anything on damaged files
            why = f'cannot be read ({str(error).splitlines()[0]})'
        else:
            if all(
                name in records and plan.sites.keys() <= records[name].operations.keys()
                for name, plan in found.plans.items()
            ):
                found.records = records
                return
            why = 'is of another model'
    found.missing.append(
        f'No histograms, and no candidates that were not chosen: {path} {why}.'
    )


def _of_this_model(found: WorkDir, name: str) -> dict[str, Any] | None:
    """What a file holds, if it is there and of the model of the results."""
    path = found.path / name
    if not path.is_file():
        return None
    data = _parsed(path.read_text(encoding='utf-8'), path)
    digest = (found.results.get('digest') or {}).get('integer.pth')
    return data if data.get('digest') == digest else None


def _read_diagnosis(found: WorkDir) -> None:
    data = _of_this_model(found, DIAGNOSIS_FILE)
    if data is not None:
        found.diagnosis = data
        return
    path = found.path / DIAGNOSIS_FILE
    found.missing.append(
        'What each layer does to the outputs by itself is not measured here: '
        f'tools/diagnose.py {found.path} --parts --json {path} measures it (weights, '
        'inputs, function and result of every layer); then make the report again with '
        'tools/report.py.'
    )


def _read_measured(found: WorkDir) -> None:
    data = _of_this_model(found, MEASURED_FILE)
    if data is not None:
        found.measured = data
        found.missing += data.get('missing', [])
        return
    path = found.path / MEASURED_FILE
    why = 'is not there (runs of version 0.3 write it)'
    if path.is_file():
        why = 'is of another model'
    found.missing.append(
        f'No errors measured layer by layer on images, and no images on which float '
        f'and integer differ: {path} {why}.'
    )
