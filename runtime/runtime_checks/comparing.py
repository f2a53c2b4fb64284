"""Integers of a model file by ``iptq-run``, and their digests."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def digest(outputs: Sequence[np.ndarray]) -> str:
    """Returns a digest of integers: their types, shapes and values."""
    made = hashlib.sha256()
    for output in outputs:
        made.update(f'{output.dtype.str}{output.shape}'.encode())
        made.update(np.ascontiguousarray(output).tobytes())
    return made.hexdigest()[:16]


def stacked(calls: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
    """Returns the arrays of calls, each with a first dimension of the calls."""
    return [np.stack(port) for port in zip(*calls, strict=True)]


def predicted(
    command: Sequence[str],
    model: Path,
    inputs: Sequence[np.ndarray],
    *,
    each: bool = False,
    options: Sequence[str] = (),
) -> list[np.ndarray]:
    """Returns the integers that ``iptq-run`` computes.

    Args:
        command: How it is called, see :meth:`.targets.Target.command`.
        model: The model file.
        inputs: Its inputs.
        each: Whether the arrays have one dimension more: a call for each entry.
        options: Further options.

    Raises:
        RuntimeError: If it fails, with what it said.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = []
        for i, array in enumerate(inputs):
            paths.append(folder / f'input_{i}.npy')
            np.save(paths[-1], np.ascontiguousarray(array))
        arguments = [*command, model, *paths, '--integers', '--out', folder / 'out']
        arguments += [*(['--each'] if each else []), *options]
        made = subprocess.run(arguments, capture_output=True, text=True)
        if made.returncode:
            raise RuntimeError(f'{" ".join(map(str, arguments))}: {made.stderr}')
        count = len(list(folder.glob('out_*.npy')))
        return [np.load(folder / f'out_{i}.npy') for i in range(count)]
