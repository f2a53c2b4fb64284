"""Starts the process that tries models, again where one of them ended it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .lone_nodes import Case


def results_of(
    runtime: str, cases: Sequence[Case], seconds: float
) -> list[dict[str, Any]]:
    """What a runtime makes of models; see :func:`~.trial.tried`.

    Args:
        runtime: Its name.
        cases: The models.
        seconds: How long it may take for all of them. The kind of what was not tried
            until then is ``late``, of a model that ended the process ``ended``.
    """
    results: dict[str, dict[str, Any]] = {}
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder, 'lines.json')
        while left := [case for case in cases if str(case.path) not in results]:
            status = _process(runtime, left, lines, end - time.monotonic())
            begun = ''
            for line in lines.read_text(encoding='utf-8').splitlines():
                said = json.loads(line)
                begun = '' if 'result' in said else said['path']
                if 'result' in said:
                    results[said['path']] = said['result']
            lines.unlink()
            if status is None:
                break
            if begun:  # whatever its status says
                results[begun] = dict(kind='ended', status=status)
            elif status:
                raise RuntimeError(f'{runtime}: its process ended with {status}')
    return [results.get(str(case.path), dict(kind='late')) for case in cases]


def _process(
    runtime: str, cases: Sequence[Case], lines: Path, seconds: float
) -> int | None:
    """Exit status of a process that tries models; None where its time was over."""
    lines.touch()
    tasks = lines.with_name('tasks.json')
    tasks.write_text(json.dumps([[str(c.path), str(c.known)] for c in cases]))
    module = f'{__package__}.trial'
    with open(lines.with_name('said'), 'wb') as said:
        child = subprocess.Popen(
            [sys.executable, '-m', module, runtime, str(tasks), str(lines)],
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        try:
            return child.wait(max(seconds, 1))
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, 9)  # with the converters that it started
            child.wait()
            return None
