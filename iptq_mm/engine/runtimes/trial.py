"""What one runtime makes of models, in a process of its own: ``python -m ... trial``.

Writes a line of JSON before each model and one after it, so that whoever started the
process knows the model that ended it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from .adapters import RUNTIMES, Runtime
from .adapters.base import NotRunError


def tried(runtime: Runtime, path: Path, known: Path) -> dict[str, Any]:
    """What a runtime makes of a model.

    Args:
        runtime: The runtime.
        path: The model.
        known: Its inputs and outputs.

    Returns:
        ``kind`` is ``exact``, ``converted`` (nothing here runs it), ``refused`` with
        the ``reason``, or ``differs`` with the number of outputs that differ, how many
        there are, and the largest difference.
    """
    arrays = dict(np.load(known))
    feeds = {name: x for name, x in arrays.items() if name.startswith('input_')}
    expected = [x for name, x in arrays.items() if name.startswith('output_')]
    try:
        made = runtime.prepare(path)(feeds)
        return compared(expected, made)
    except NotRunError:
        return dict(kind='converted')
    except Exception as error:  # whatever other software raises
        return dict(kind='refused', reason=f'{type(error).__name__}: {error}'[:4000])


def compared(expected: list[np.ndarray], made: list[np.ndarray]) -> dict[str, Any]:
    """How outputs differ from what they have to be; see :func:`tried`."""
    shapes = [x.shape for x in expected], [np.shape(y) for y in made]
    if shapes[0] != shapes[1]:
        return dict(kind='refused', reason=f'outputs of {shapes[1]}, not {shapes[0]}')
    differ, largest = 0, 0
    for x, y in zip(expected, made, strict=True):
        if y.dtype.kind not in 'iub':
            reason = f'outputs of {y.dtype}, not {x.dtype}'
            return dict(kind='refused', reason=reason)
        # As Python's numbers: a difference of 64-bit integers may need 65 bits.
        other = np.nonzero(np.asarray(x != y).ravel())[0]
        differ += len(other)
        pairs = zip(x.ravel()[other].tolist(), y.ravel()[other].tolist(), strict=True)
        largest = max([largest, *(abs(int(a) - int(b)) for a, b in pairs)])
    if not differ:
        return dict(kind='exact')
    count = sum(x.size for x in expected)
    return dict(kind='differs', differ=differ, count=count, largest=largest)


def main() -> None:
    """Try the models of a file of JSON: a list of paths and known arrays."""
    name, cases, out = sys.argv[1:]
    runtime = RUNTIMES[name]()
    with open(out, 'a', encoding='utf-8', buffering=1) as stream:
        for path, known in json.loads(Path(cases).read_text(encoding='utf-8')):
            stream.write(json.dumps(dict(path=path)) + '\n')
            result = tried(runtime, Path(path), Path(known))
            stream.write(json.dumps(dict(path=path, result=result)) + '\n')


if __name__ == '__main__':
    main()
