"""Instructions that an emulated ``iptq-run`` executes."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from .building import BUILDS, RUNTIME, BuildError, alone, run_tool
from .targets import Target

_SOURCE = RUNTIME / 'emulation' / 'count.c'
#: Versions of plugins that emulators may want, the oldest first.
_VERSIONS = (1, 2, 3, 4)
_COUNTED = re.compile(r'instructions (\d+)')


def missing(target: Target) -> str:
    """Returns why nothing can be counted on a target; empty if it can."""
    if target.missing():
        return target.missing()
    if shutil.which('gcc') is None:
        return f'{target.name}: gcc missing, which compiles the plugin of the emulator'
    try:
        _plugin(target.emulator[0])
    except BuildError as error:
        return f'{target.name}: no instructions are counted: {error}'
    return ''


@lru_cache
def _plugin(emulator: str) -> Path:
    """Compiles the plugin for the version that an emulator takes.

    Raises:
        BuildError: If it takes none.
    """
    folder = BUILDS / 'count'
    with alone(folder):
        for version in _VERSIONS:
            made = folder / f'count_{version}.so'
            run_tool(
                ['gcc', '-shared', '-fPIC', '-O2', f'-DPLUGIN_VERSION={version}']
                + [str(_SOURCE), '-o', str(made)]
            )
            # It loads plugins before it looks at the program, which is none of its own.
            tried = subprocess.run(
                [emulator, '-plugin', str(made), str(made)],
                capture_output=True,
                text=True,
            )
            if 'Invalid ELF' in tried.stderr:
                return made
    raise BuildError(f'{emulator} takes no plugin: {tried.stderr.strip()}')


def instructions(
    target: Target,
    command: Sequence[str],
    model: Path,
    inputs: Sequence[Path],
    level: str,
) -> int:
    """Returns how many instructions a call of a model takes, without its loading.

    Args:
        target: The machine.
        command: From :meth:`.targets.Target.command`.
        model: The model file.
        inputs: Files of its inputs.
        level: The instruction set.

    Raises:
        RuntimeError: If the program fails, with what it said.
    """
    called: list[str | Path] = [*command, model, *inputs, '--isa', level]
    one, two = (_counted(target, [*called, '--bench', str(calls)]) for calls in (1, 2))
    return two - one


def _counted(target: Target, command: Sequence[str | Path]) -> int:
    plugin = _plugin(target.emulator[0])
    with tempfile.TemporaryDirectory() as folder:
        counts = Path(folder, 'counts')
        made = subprocess.run(
            [command[0], '-plugin', plugin, '-d', 'plugin', '-D', counts, *command[1:]],
            capture_output=True,
            text=True,
        )
        said = counts.read_text() if counts.exists() else ''
    found = _COUNTED.search(said)
    if made.returncode or not found:
        raise RuntimeError(f'{" ".join(map(str, command))}: {made.stderr}{said}')
    return int(found[1])
