"""The table of runtimes: which of them give the integers of an exported model."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...calibration import ConfigError
from ...utils.markdown import table
from .adapters import RUNTIMES
from .lone_nodes import Case, write_lone_nodes
from .processes import results_of

#: So many operators the table names of a kind.
MOST = 6
#: How the table begins.
_HEADER = ['runtime', 'version']
#: Results of an operator that are not exact: for JSON, and what the table says.
_NOT_EXACT = ('refused', 'ended', 'differs')


def runtime_rows(
    models: Sequence[Path],
    names: Sequence[str],
    seconds: float,
    say: Callable[[str], None],
) -> list[dict[str, Any]]:
    """What runtimes make of models, and of their operators where that is not exact.

    Args:
        models: ONNX files that ``tools/export.py`` wrote, with what it wrote beside.
        names: Names of the runtimes.
        seconds: How long each may take for a model, and for its operators.
        say: Gets a line about each as it ends.

    Returns:
        By runtime: its ``name``, its ``version`` or why it is ``missing``, and
        ``models``: of each, its ``digest``, the ``whole`` result
        (:func:`~.trial.tried`) and its ``operators``, those that are not exact, each
        with its label and result.

    Raises:
        ConfigError: If a file is missing, or there is no such runtime.
    """
    for name in names:
        if name not in RUNTIMES:
            raise ConfigError(f'no runtime {name!r}: there are {list(RUNTIMES)}')
    wholes = [_whole(path) for path in models]
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        lone = [_lone(case, Path(folder, str(i))) for i, case in enumerate(wholes)]
        for name in names:
            row: dict[str, Any] = dict(name=name)
            rows.append(row)
            try:
                row['version'] = RUNTIMES[name]().version()
            except LookupError as error:
                row['missing'] = str(error)
                say(f'{name}: {error}')
                continue
            row['models'] = [
                _tried(name, whole, nodes, seconds, Path(folder, 'whole'))
                for whole, nodes in zip(wholes, lone, strict=True)
            ]
            for model in row['models']:
                say(f'{name} {row["version"]}, {model["model"]}: {model_text(model)}')
    return rows


def _whole(path: Path) -> Case:
    case = Case(path.stem, path, path.with_name(f'{path.stem}_check.npz'))
    for file in (case.path, case.known):
        if not file.is_file():
            raise ConfigError(f'{file} is missing: tools/export.py writes both')
    return case


def _lone(case: Case, folder: Path) -> list[Case]:
    import onnx

    arrays = dict(np.load(case.known))
    feeds = {name: x for name, x in arrays.items() if name.startswith('input_')}
    return write_lone_nodes(onnx.load(case.path), feeds, folder)


def _tried(
    name: str, whole: Case, nodes: Sequence[Case], seconds: float, folder: Path
) -> dict[str, Any]:
    """The result of a model, and of its operators unless it is exact."""
    # Converters write beside the file.
    folder.mkdir()
    copy = whole._replace(path=folder / 'model.onnx')
    shutil.copy(whole.path, copy.path)
    (result,) = results_of(name, [copy], seconds)
    shutil.rmtree(folder)
    digest = digest_of(whole.path)
    made: dict[str, Any] = dict(
        model=whole.label, digest=digest, whole=result, operators=[]
    )
    if result['kind'] not in ('exact', 'converted'):
        found = results_of(name, nodes, seconds)
        made['tried'] = sum(r['kind'] != 'late' for r in found)
        made['kinds'] = len(nodes)
        labels = [case.label for case in nodes]
        made['known_operators'] = sorted({label.split()[0] for label in labels})
        made['operators'] = [
            dict(operator=case.label, **r)
            for case, r in zip(nodes, found, strict=True)
            if r['kind'] in _NOT_EXACT
        ]
    return made


def digest_of(path: Path) -> str:
    """The digest of a model's file: results of another file are not its own."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def joined_rows(
    rows: Sequence[dict[str, Any]],
    also: Sequence[dict[str, Any]],
    models: Sequence[Path],
) -> list[dict[str, Any]]:
    """Rows of earlier runs and of this one, each runtime once.

    Args:
        rows: Of this run; of a runtime that both have, these count.
        also: Of earlier runs.
        models: The files that all of them have to be of.

    Raises:
        ConfigError: If an earlier run was of other files.
    """
    wanted = {path.stem: digest_of(path) for path in models}
    for row in also:
        for model in row.get('models', []):
            if model.get('digest') != wanted.get(model['model']):
                raise ConfigError(
                    f'the row of {row["name"]} is of another file {model["model"]}: '
                    'run it on these files'
                )
    return list({row['name']: row for row in (*also, *rows)}.values())


def with_table(page: str, text: str) -> str:
    """A page of Markdown with the table in the place of the one that it has.

    Args:
        page: The page.
        text: The table.

    Raises:
        ConfigError: If the page has no table of runtimes.
    """
    lines = page.split('\n')
    begins = f'| {" | ".join(_HEADER)} |'
    first = next((i for i, x in enumerate(lines) if x.startswith(begins)), None)
    if first is None:
        raise ConfigError(f'the page has no table that begins with {begins}')
    last = first
    while last < len(lines) and lines[last].startswith('|'):
        last += 1
    return '\n'.join([*lines[:first], *text.rstrip('\n').split('\n'), *lines[last:]])


def model_text(model: dict[str, Any]) -> str:
    """What a runtime makes of a model, in words."""
    if 'tried' not in model:
        return str(model['whole']['kind'])
    parts = [_whole_text(model['whole'], model['known_operators'])]
    refused: dict[str, None] = {}
    differs: dict[str, int] = {}
    for r in model['operators']:
        name = r['operator']
        if r['kind'] == 'differs':
            differs[name] = max(r['largest'], differs.get(name, 0))
        else:
            refused[name] = None
    if refused:
        parts.append(f'does not take {_listed(list(refused))}')
    if differs:
        named = [f'{name} (by up to {_short(n)})' for name, n in differs.items()]
        parts.append(f'errs in {_listed(named)}')
    left = model['kinds'] - model['tried']
    if not refused and not differs and model['tried']:
        which = 'those that were tried' if left else 'each operator'
        parts.append(f'takes {which} by itself' if not left else f'takes {which}')
    if left:
        parts.append(f'{left} of {model["kinds"]} kinds of nodes not tried in time')
    return '; '.join(parts)


def _whole_text(result: dict[str, Any], operators: Sequence[str]) -> str:
    """The result of a whole model that is not exact, in words."""
    if result['kind'] == 'differs':
        size = _short(result['largest'])
        return (
            f'{result["differ"]} of {result["count"]} outputs differ, by up to {size}'
        )
    if result['kind'] == 'late':
        return 'not ready in time'
    # Longer names first: Gather is the beginning of GatherElements.
    names = '|'.join(sorted(operators, key=len, reverse=True))
    named = re.search(f'(?<![A-Za-z])(?:{names})(?![A-Za-z])', result.get('reason', ''))
    return f'does not take the model{f" (at {named[0]})" if named else ""}'


def _listed(names: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    more = f' and {len(names) - MOST} more' if len(names) > MOST else ''
    return f'{", ".join(names[:MOST])}{more}'


def _short(number: int) -> str:
    return str(number) if number < 10**6 else f'{number:.1e}'


def rows_text(rows: Sequence[dict[str, Any]]) -> str:
    """The table as Markdown."""
    installed = [row for row in rows if 'models' in row]
    columns = [m['model'] for m in installed[0]['models']] if installed else []
    lines = []
    for row in rows:
        if 'models' in row:
            cells = [model_text(model) for model in row['models']]
            lines.append([row['name'], row['version'], *cells])
        else:
            lines.append([row['name'], row['missing']])
    return table([*_HEADER, *columns], lines)
