"""The work dir of a run: writable, and of one run at a time."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from mmengine.logging import print_log

from ...calibration import ConfigError

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

#: Names the process that writes to the folder; gone when the run is over.
LOCK = '.lock'

#: What a run writes, in the order in which it is replaced by the next one.
RESULTS = ('float.json', 'integer.pth', 'integer.py', 'plan.json', 'results.json')
#: ... if it asks for a guard.
GUARDED = ('guarded.pth', 'guarded.py')


@contextmanager
def held(folder: str | os.PathLike) -> Iterator[None]:
    """Hold a work dir, made if it is missing, as long as the block runs.

    The operating system frees it when the process ends, however that happens.

    Raises:
        ConfigError: If another run holds it, or nothing can be written there.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = _opened(folder / LOCK)
    except OSError as error:
        raise ConfigError(
            f'the work dir {folder} cannot be written to ({error.strerror}): make '
            'room for it, or name another with --work-dir'
        ) from error
    try:
        os.truncate(handle, 0)
        os.write(handle, f'{os.getpid()} on {socket.gethostname()}'.encode())
        yield
    finally:
        # Before it is free: afterwards it may be the next one's.
        (folder / LOCK).unlink(missing_ok=True)
        os.close(handle)


def check_folder(folder: Path, option: str) -> None:
    """Make a folder for a file of the run, before hours are spent.

    Args:
        folder: The folder.
        option: What named it, for the message.

    Raises:
        ConfigError: If it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        raise ConfigError(f'{option}: nothing can be written to {folder}')


def _opened(path: Path) -> int:
    """A handle of the lock file that no other process holds.

    Raises:
        ConfigError: If another one holds it.
        OSError: If there can be no such file.
    """
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        if fcntl is None:
            return handle
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 200).decode(errors='replace') or 'unknown'
            os.close(handle)
            raise ConfigError(
                f'another run writes to the work dir {path.parent} (process {holder}): '
                'wait for it, end it, or name another with --work-dir'
            ) from None
        except OSError as error:  # a file system without locks
            print_log(
                f'{path.parent} cannot be locked ({error.strerror}): see to it that no '
                'other run writes there',
                'current',
            )
            return handle
        if _same(handle, path):
            return handle
        os.close(handle)  # its run ended between the two calls: the name is free


def _same(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def announce_replacement(
    folder: str | os.PathLike, kept: Iterable[Path] | None = None
) -> None:
    """Log which results of an earlier run this one will replace.

    Args:
        folder: The work dir.
        kept: What a run would be resumed from; None: this one is not to be resumed.
    """
    times = {
        p.name: p.stat().st_mtime
        for p in map(Path(folder).joinpath, (*RESULTS, *GUARDED))
        if p.is_file()
    }
    if not times:
        return
    made = datetime.fromtimestamp(max(times.values())).strftime('%Y-%m-%d %H:%M:%S')
    print_log(
        f'{folder} holds results of {made} ({", ".join(times)}): they stay until '
        'this run has ended well, which then replaces them',
        'current',
    )
    if kept is not None and _is_finished(times.get('results.json'), kept):
        print_log(
            f'{folder}: the run there is finished, --resume has nothing to go on with. '
            'What its calibration found is used again where settings, weights and '
            'images are the same, and so are the results then',
            'current',
        )


def _is_finished(written: float | None, kept: Iterable[Path]) -> bool:
    """Whether nothing was kept after the results of a run were written."""
    return written is not None and all(
        path.stat().st_mtime <= written for path in kept if path.is_file()
    )
