"""One case: every contender made ready, checked and timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .cases import Case
from .contenders import CONTENDERS, REFERENCE, Prepared, Unavailable
from .interleave import interleave


def measure(
    case: Case,
    names: Sequence[str],
    rounds: int,
    turn: float,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Time contenders on a case.

    Those that run integers must agree with the eager integer mode to the bit, or they
    are not timed.

    Args:
        case: The case.
        names: Contenders; the reference takes part in any case.
        rounds: See :func:`~.interleave.interleave`.
        turn: Seconds of a turn there.
        say: Gets a line about each contender.

    Returns:
        Plain data: by contender ``seconds`` of each round, ``ready`` (seconds to
        prepare it and call it once), ``sqnr`` in dB of its outputs against the float
        model (None for detectors), or why it is ``missing`` or ``wrong`` (it failed,
        or its integers differ).
    """
    entries: dict[str, dict[str, Any]] = {}
    calls: dict[str, Callable[[], Any]] = {}
    for name in dict.fromkeys([REFERENCE, *names]):
        began = time.perf_counter()
        try:
            prepared = CONTENDERS[name].prepare(case)
            entries[name] = check(case, name, prepared)
        except Unavailable as error:
            entries[name] = {'missing': str(error)}
        except Exception as error:  # the others go on; run.py ends non-zero
            entries[name] = {'wrong': f'{type(error).__name__}: {error}'}
        else:
            entries[name]['ready'] = round(time.perf_counter() - began, 2)
            if 'wrong' not in entries[name]:
                calls[name] = prepared.call
        say(f'{case.name} {name}: {_state(entries[name])}')
    for name, seconds in interleave(calls, rounds, turn).items():
        entries[name]['seconds'] = seconds
    uses_integers = any(CONTENDERS[name].integers for name in entries)
    return {
        'case': case.name,
        'functions': dict(case.functions) if uses_integers else {},
        'contenders': entries,
    }


def check(case: Case, name: str, prepared: Prepared) -> dict[str, Any]:
    """What a first call says about the outputs of a contender."""
    outputs = prepared.outputs(prepared.call())
    entry: dict[str, Any] = {'sqnr': None}
    if not case.is_detector:
        entry['sqnr'] = sqnr(case.float_outputs, outputs)
    if CONTENDERS[name].integers and not same(case.integer_outputs, outputs):
        entry['wrong'] = 'not equal to the eager integer mode'
    return entry


def same(expected: Sequence[Tensor], outputs: Sequence[Tensor]) -> bool:
    """Whether all tensors are equal to the bit."""
    return len(expected) == len(outputs) and all(map(torch.equal, expected, outputs))


def sqnr(floats: Sequence[Tensor], outputs: Sequence[Tensor]) -> float | None:
    """Signal over error power in dB, of the worst output; None: no error at all.

    Raises:
        ValueError: If the outputs are not those of the same model.
    """
    shapes = [[tuple(t.shape) for t in given] for given in (floats, outputs)]
    if shapes[0] != shapes[1]:
        raise ValueError(f'outputs of shapes {shapes[1]}: the model makes {shapes[0]}')
    worst = None
    for real, other in zip(floats, outputs, strict=True):
        error = (real.double() - other.double()).square().sum()
        if error > 0:
            figure = float(10 * torch.log10(real.double().square().sum() / error))
            worst = figure if worst is None else min(worst, figure)
    return worst


def _state(entry: dict[str, Any]) -> str:
    if 'missing' in entry:
        return f'left out ({entry["missing"]})'
    if 'wrong' in entry:
        return f'WRONG: {entry["wrong"]}'
    return f'ready after {entry["ready"]:.1f} s'
