"""How much memory a contender takes: measured in a process of its own."""

from __future__ import annotations

import ctypes
import gc
import json
import resource
import subprocess
import sys
from pathlib import Path

CALLS = 3
_FOLDER = Path(__file__).resolve().parents[1]


def memory(case: str, contender: str, threads: int) -> dict[str, float] | None:
    """Memory of a contender on a case, in MB.

    Args:
        case: Name of the case.
        contender: Name of the contender.
        threads: Of torch and the other runtimes.

    Returns:
        ``running``: the most that is resident while it runs, the interpreter and all
        libraries included. ``peak``: the same of the whole process, quantizing and
        compiling included. None if the contender is not available.

    Raises:
        RuntimeError: If the process fails; with what it said.
    """
    command = [sys.executable, '-m', 'bench.memory', case, contender, str(threads)]
    done = subprocess.run(command, cwd=_FOLDER, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f'{case} {contender}: {done.stderr.strip()[-2000:]}')
    return json.loads(done.stdout.splitlines()[-1])


def measure_here(case_name: str, name: str) -> dict[str, float] | None:
    """The same, of this process."""
    from .cases import Case
    from .contenders import CONTENDERS, Unavailable

    case = Case(case_name)
    try:
        call = CONTENDERS[name].prepare(case).call
    except Unavailable:
        return None
    call()
    del case  # what the contender itself does not keep
    forget()
    for _ in range(CALLS):
        call()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_mb = peak / (2**20 if sys.platform == 'darwin' else 2**10)
    return {'running': high_water() or peak_mb, 'peak': peak_mb}


def forget() -> None:
    """Give freed memory back, and let the high-water mark start from here."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path('/proc/self/clear_refs').write_text('5')
    except (AttributeError, OSError):  # not Linux with glibc
        pass


def high_water() -> float | None:
    """The most resident memory since :func:`forget`, in MB; None if unknown."""
    try:
        lines = Path('/proc/self/status').read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith('VmHWM')]
    return int(found[0]) / 2**10 if found else None


def _main() -> None:
    from .setup import prepare_process

    case, contender, threads = sys.argv[1:]
    prepare_process(int(threads))
    print(json.dumps(measure_here(case, contender)))


if __name__ == '__main__':
    _main()
