"""The whole measurement on one device, as plain data."""

from __future__ import annotations

import copy
import platform
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from iptq_mm.version import __version__

from .exactness import compared, recorded_calls
from .steps import Deadline, OutOfTime
from .subjects import Subject
from .timing import CONTENDERS, ready, timed, without_compiled

#: Seconds that one contender may take to be compiled and timed.
_MOST = 100.0
_LATE = 'left out: no time left'


def measure(
    names: Sequence[str],
    device: torch.device,
    batches: Sequence[int],
    minutes: float,
    turn: float = 1.0,
    say: Callable[[str], None] = print,
    modes: Sequence[str | None] = (None, 'compiled'),
    contenders: Sequence[str] = CONTENDERS,
) -> dict[str, Any]:
    """Compare integers with those of the CPU, then time everything.

    What there is no time for is left out, and the result says so.

    Args:
        names: Of the subjects.
        device: The device.
        batches: Images in a batch, for the times.
        minutes: How long it may take in all.
        turn: Seconds for which each contender is repeated.
        say: Gets a line about each step.
        modes: Back ends whose integers are compared; None: the eager integer mode.
        contenders: Who is timed.

    Returns:
        ``machine``, and ``exact`` and ``times``, lists of rows.
    """
    deadline = Deadline(60 * minutes)
    result: dict[str, Any] = {'machine': machine(device), 'exact': [], 'times': []}
    subjects = [Subject(name) for name in names]
    # First what is worth most: the same integers, in eager mode everywhere.
    recorded = {}
    for backend in modes:
        for subject in subjects:
            if subject.name not in recorded:
                batch = subject.batch(1)
                recorded[subject.name] = recorded_calls(subject.integers, batch)
            rows = _exact(subject, recorded[subject.name], device, backend, deadline)
            for row in rows:
                result['exact'].append(row)
                say(f'{row}')
    for count in batches:
        for subject in subjects:
            for contender in contenders:
                row = {'model': subject.name, 'batch': count, 'contender': contender}
                row.update(_time(subject, contender, device, count, turn, deadline))
                result['times'].append(row)
                say(f'{row}')
    return result


def _exact(
    subject: Subject,
    calls: list,
    device: torch.device,
    backend: str | None,
    deadline: Deadline,
) -> list[dict[str, Any]]:
    """A row for each region, or one that says why there is none."""
    row = {'model': subject.name, 'mode': backend or 'eager'}
    rows: list[dict[str, Any]] = []
    try:
        with deadline.step():
            model = copy.deepcopy(subject.integers).to(device)
            for found in compared(model, calls, device, backend):
                rows.append({**row, **vars(found)})
    except OutOfTime:
        rows.append({**row, 'region': 'others', 'missing': _LATE})
    except Exception as error:  # the other models go on
        rows.append({**row, 'region': 'others', 'missing': _said(error)})
    return rows


def _time(
    subject: Subject,
    contender: str,
    device: torch.device,
    count: int,
    turn: float,
    deadline: Deadline,
) -> dict[str, Any]:
    began = time.perf_counter()
    try:
        with deadline.step(_MOST):
            call = ready(subject, contender, device, count)
            call()
            prepared = time.perf_counter() - began
            return {'ready': prepared, 'seconds': timed(call, device, turn)}
    except OutOfTime:
        return {'missing': _LATE}
    except Exception as error:  # the other contenders go on
        return {'missing': _said(error)}
    finally:
        without_compiled()


def _said(error: Exception) -> str:
    return f'{type(error).__name__}: {" ".join(str(error).split())[:200]}'


def machine(device: torch.device) -> dict[str, str]:
    """What it is measured on."""
    found = {
        'device': torch.cuda.get_device_name(device)
        if device.type == 'cuda'
        else f'{device.type}, a rehearsal that measures nothing',
        'torch': torch.__version__,
        'CUDA': str(torch.version.cuda),
        'python': platform.python_version(),
        'iptq_mm': __version__,
    }
    if device.type == 'cuda':
        major, minor = torch.cuda.get_device_capability(device)
        found['compute capability'] = f'{major}.{minor}'
    return found
