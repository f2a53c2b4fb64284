"""Files that are fetched in any number of attempts, and are whole when they appear."""

from __future__ import annotations

import errno
import hashlib
import http.client
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from .file_problem import content_problem
from .progress import Progress
from .transfer import BrokenOffError, DownloadError, Source, opened

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

#: Attempts in a row that bring no byte before a download gives up.
ATTEMPTS = 5
#: Seconds before the next attempt, times the number of those in vain.
PAUSE = 2.0

_CHUNK = 1 << 20
#: Bytes that are left on a disk beside the file.
_SPARE = 1 << 20


class ChecksumError(DownloadError):
    """A file is not the one that its publisher names."""


class NoSpaceError(DownloadError):
    """A file is larger than what is left on the disk."""


def download(
    url: str, target: Path, check: Callable[[Path], None], also_needed: float = 0.0
) -> None:
    """Fetch a file. What an earlier call began is completed.

    Bytes go to ``<target>.part``; ``<target>.part.json`` says of which file they are.
    Both are gone when the file is there.

    Args:
        url: Where it is.
        target: What it becomes, in one step at the end.
        check: Raises an error if the file is not what it should be. It is deleted then.
        also_needed: Space that will be needed beside it, in sizes of the file.

    Raises:
        DownloadError: If it cannot be fetched; the class says why.
    """
    part = target.with_name(f'{target.name}.part')
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(
            f'{target.parent} cannot be made ({error.strerror}): name another folder '
            'with --dest'
        ) from error
    with _alone(part):
        _complete(url, part, also_needed)
        try:
            check(part)
        except DownloadError:
            part.unlink()
            raise
        with part.open('rb') as file:
            os.fsync(file.fileno())
        os.replace(part, target)


def check_space(folder: Path, needed: float) -> None:
    """Make sure that so many bytes have room in a folder.

    Raises:
        NoSpaceError: If they have not.
    """
    free = shutil.disk_usage(folder).free
    if needed + _SPARE > free:
        raise NoSpaceError(
            f'{folder.resolve()} has room for {_mb(free)}, and {_mb(needed)} are '
            'needed: make room, or name another folder with --dest'
        )


def check_content(path: Path, source: str, sha256: str) -> str:
    """Make sure that a file may be a checkpoint, and the one that is meant.

    Args:
        path: The file.
        source: Where it came from, for the message.
        sha256: The beginning of its SHA-256; empty: any will do.

    Returns:
        The whole SHA-256.

    Raises:
        ChecksumError: If it is another file.
        DownloadError: If it is no checkpoint.
    """
    problem = content_problem(path)
    if problem:
        raise DownloadError(f'what {source} gave {problem}')
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    found = digest.hexdigest()
    if not found.startswith(sha256.lower()):
        raise ChecksumError(
            f'the file from {source} has the SHA-256 {found}, and {sha256} is the '
            'beginning of the right one: it is damaged, or another one. Try again, or '
            'another mirror; --any-checksum takes it nevertheless'
        )
    return found


@contextmanager
def _alone(part: Path) -> Iterator[None]:
    """Keep other processes from fetching the same file while the block runs."""
    state = _state_file(part)
    try:
        handle = state.open('a')
    except OSError as error:
        raise DownloadError(
            f'{part.parent} cannot be written to ({error.strerror}): name another '
            'folder with --dest'
        ) from error
    with handle:
        if fcntl is not None:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DownloadError(
                    f'another process is fetching {part.name.removesuffix(".part")}'
                ) from None
            except OSError:  # a file system without locks
                pass
        try:
            yield
        finally:
            if not part.exists():
                state.unlink(missing_ok=True)


def _complete(url: str, part: Path, also_needed: float) -> None:
    """Fetch what is missing of a file, in as many attempts as it takes."""
    in_vain = 0
    while True:
        before = _size(part)
        try:
            return _go_on(url, part, also_needed)
        except BrokenOffError as error:
            in_vain = 0 if _size(part) > before else in_vain + 1
            if in_vain >= ATTEMPTS:
                raise DownloadError(
                    f'{error}; after {ATTEMPTS} attempts {_mb(_size(part))} are there: '
                    'the same command goes on after them'
                ) from error
            time.sleep(PAUSE * in_vain)


def _go_on(url: str, part: Path, also_needed: float) -> None:
    """Fetch what is missing of a file, in one attempt."""
    state = _state_file(part)
    before = _state(state)
    same = before.get('url') == url
    start, version = (_size(part), before.get('version', '')) if same else (0, '')
    with opened(url, start, version) as source:
        if source.size is not None:
            check_space(part.parent, source.size * (1 + also_needed) - source.start)
        state.write_text(json.dumps(dict(url=url, version=source.version)))
        with part.open('r+b' if part.exists() else 'wb') as file:
            file.truncate(source.start)
            file.seek(source.start)
            _copy(source, file, part.name)
    size = _size(part)
    if source.size is not None and size != source.size:
        raise BrokenOffError(
            f'{url}: the connection ended after {size} of {source.size} bytes'
        )


def _copy(source: Source, file: IO[bytes], name: str) -> None:
    with Progress(name.removesuffix('.part'), source.start, source.size) as progress:
        while True:
            try:
                chunk = source.stream.read1(_CHUNK)
            except (OSError, http.client.HTTPException) as error:
                file.flush()
                raise BrokenOffError(f'the connection broke off ({error!r})') from error
            if not chunk:
                return
            try:
                file.write(chunk)
                file.flush()
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                raise NoSpaceError(
                    f'the disk is full: {Path(file.name).resolve()} holds what was '
                    'fetched. Make room, and the same command goes on after it'
                ) from error
            progress.add(len(chunk))


def _state_file(part: Path) -> Path:
    return part.with_name(f'{part.name}.json')


def _state(path: Path) -> dict[str, str]:
    with suppress(OSError, ValueError):
        content = json.loads(path.read_text())
        if isinstance(content, dict):
            return content
    return {}


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _mb(count: float) -> str:
    return f'{count / 1e6:.1f} MB'
