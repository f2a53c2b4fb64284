"""Where builds are, and how their tools are run."""

from __future__ import annotations

import fcntl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

RUNTIME = Path(__file__).resolve().parents[1]
#: Where builds go, one folder for each target.
BUILDS = RUNTIME / '_build'


class BuildError(RuntimeError):
    """The runtime cannot be built; with what the tools said."""


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Has other processes that build in the same folder wait."""
    folder.mkdir(parents=True, exist_ok=True)
    with Path(folder, 'lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run_tool(command: Sequence[str | Path]) -> None:
    """Runs a tool of the build.

    Raises:
        BuildError: If it fails.
    """
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode:
        shown = ' '.join(map(str, command))
        raise BuildError(f'{shown}\n{made.stdout[-4000:]}{made.stderr[-4000:]}')
