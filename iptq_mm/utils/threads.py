"""How many threads to compute with: as many as the machine has cores to spare.

Threads that share the work of a product wait for one another at its end. If another
process holds one of their cores, all of them wait for it: two threads on two cores may
be ten times slower than one then.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

#: Variables by which a user chooses.
CHOSEN = ('OMP_NUM_THREADS', 'MKL_NUM_THREADS')
#: How often the processes that run are counted, and seconds between.
_LOOKS, _PAUSE = 4, 0.02

_CPUS = Path('/sys/devices/system/cpu')
_CGROUPS = Path('/sys/fs/cgroup')
_PROC = Path('/proc')


@dataclass(frozen=True)
class Threads:
    """A number of threads, and where it is from.

    Attributes:
        count: How many.
        reason: Why, for the log.
        by_user: Whether the user has set it.
    """

    count: int
    reason: str
    by_user: bool = False


def sensible_threads(environment: Mapping[str, str] | None = None) -> Threads:
    """A number of threads for this process, from what the machine has left.

    The cores that the process may use count: hyperthreads of one core share it. A quota
    of a container, the processes that already run, and the other ranks on this machine
    leave fewer. At least one remains.

    Args:
        environment: Variables; None: those of the process.
    """
    environment = os.environ if environment is None else environment
    for name in CHOSEN:
        if environment.get(name):
            first = environment[name].partition(',')[0]
            count = int(first) if first.isdigit() else 1
            return Threads(max(1, count), f'{name} says so', True)
    allowed, every = _allowed(), os.cpu_count() or 1
    cores = _cores(allowed)
    found, reason = cores, f'{cores:g} of {_cores(range(every)):g} cores may be used'
    quota = _quota()
    if quota is not None and quota < found:
        found, reason = quota, f'{reason}, a quota of {quota:g}'
    # As many processes as CPUs leave none; a hyperthread is a part of a core.
    load = _load()
    left = (every - load) * cores / len(allowed)
    if load >= 0.5 and left < found:
        found, reason = left, f'{reason}, {load:.1f} processes of others run'
    ranks = _ranks_that_share(environment, len(allowed) == every)
    if ranks > 1:
        found, reason = found / ranks, f'{reason}, {ranks} ranks share them'
    return Threads(max(1, int(found + 0.25)), reason)


def _allowed() -> list[int]:
    """The CPUs that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _cores(cpus: Iterable[int]) -> float:
    """How many cores some CPUs are: each of two hyperthreads is half a core."""
    return sum(1 / _siblings(cpu) for cpu in cpus)


def _siblings(cpu: int) -> int:
    """How many hyperthreads the core of a CPU has."""
    for name in ('core_cpus_list', 'thread_siblings_list'):
        text = _read(_CPUS / f'cpu{cpu}' / 'topology' / name)
        if text:
            spans = [part.split('-') for part in text.split(',')]
            return sum(int(span[-1]) - int(span[0]) + 1 for span in spans)
    return 1


def _quota() -> float | None:
    """CPUs whose time a container may use up; None: there is no limit."""
    own = _read(_PROC / 'self' / 'cgroup')
    places = [line.split(':', 2)[2].lstrip('/') for line in own.splitlines()]
    found = []
    for place in {'', *places}:
        limit = _read(_CGROUPS / place / 'cpu.max').split()
        if len(limit) == 2 and limit[0] != 'max':
            found.append(int(limit[0]) / int(limit[1]))
        quota = _read(_CGROUPS / 'cpu' / place / 'cpu.cfs_quota_us')
        period = _read(_CGROUPS / 'cpu' / place / 'cpu.cfs_period_us')
        if quota and period and int(quota) > 0:
            found.append(int(quota) / int(period))
    return min(found, default=None)


def _load() -> float:
    """Processes of others that want to run: now, and over the last minute.

    The smaller number counts. One that has just ended is in the mean of the minute.
    """
    counts = []
    for look in range(_LOOKS):
        if look:
            time.sleep(_PAUSE)
        fields = _read(_PROC / 'loadavg').split()
        if len(fields) < 4:
            return 0.0
        # This process is one of them.
        counts.append(max(0, int(fields[3].partition('/')[0]) - 1))
    return min(float(fields[0]), sum(counts) / len(counts))


def _ranks_that_share(environment: Mapping[str, str], whole_machine: bool) -> int:
    """Processes of this run that have the same CPUs."""
    if not whole_machine or environment.get('SLURM_CPUS_PER_TASK'):
        return 1  # launchers that give each rank CPUs of its own
    for name in ('LOCAL_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_SIZE', 'MPI_LOCALNRANKS'):
        if environment.get(name, '').isdigit():
            return max(1, int(environment[name]))
    return 1


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding='ascii').strip()
    except (OSError, UnicodeDecodeError):
        return ''
