"""The table of runtimes: which of them give the integers of an exported model."""

from __future__ import annotations

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

#: Of an operator, in the order in which the table says them.
_KINDS = ('refused', 'ended', 'differs')


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
        ``models``: of each, the ``whole`` result (:func:`~.trial.tried`) and its
        ``operators``, those that are not exact, each with its label and result.

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
            raise ConfigError(
                f'{file} is missing: tools/export.py writes both'
            )
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
    made: dict[str, Any] = dict(model=whole.label, whole=result, operators=[])
    if result['kind'] not in ('exact', 'converted'):
        found = results_of(name, nodes, seconds)
        made['tried'] = sum(r['kind'] != 'late' for r in found)
        made['kinds'] = len(nodes)
        made['operators'] = [
            dict(operator=case.label, **r)
            for case, r in zip(nodes, found, strict=True)
            if r['kind'] in _KINDS
        ]
    return made


def model_text(model: dict[str, Any]) -> str:
    """What a runtime makes of a model, in words."""
    whole = model['whole']
    if whole['kind'] in ('exact', 'converted'):
        return whole['kind']
    text = result_text(whole)
    parts = []
    for kind in _KINDS:
        found = [r for r in model['operators'] if r['kind'] == kind]
        if kind == 'differs':
            most: dict[str, int] = {}
            for r in found:
                size = max(r['largest'], most.get(r['operator'], 0))
                most[r['operator']] = size
            named = [f'{op} (by up to {size})' for op, size in most.items()]
        else:
            named = list(dict.fromkeys(r['operator'] for r in found))
        if named:
            says = dict(refused='does not take', ended='ends at', differs='errs in')
            parts.append(f'{says[kind]} {", ".join(named)}')
    tried, kinds = model['tried'], model['kinds']
    parts = parts or ['takes each operator by itself']
    if tried < kinds:
        parts.append(f'{kinds - tried} of {kinds} kinds of nodes not tried in time')
    return '; '.join([text, *parts])


def result_text(result: dict[str, Any]) -> str:
    """The result of a whole model that is not exact, in words."""
    if result['kind'] == 'differs':
        return (
            f'{result["differ"]} of {result["count"]} outputs differ, by up to '
            f'{result["largest"]}'
        )
    return dict(
        refused='does not take the model',
        ended='its process ends',
        late='not ready in time',
    )[result['kind']]


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
    return table(['runtime', 'version', *columns], lines)
