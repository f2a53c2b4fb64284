"""Files that are whole or not there."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log


def write_whole(path: str | os.PathLike, write: Callable[[Path], Any]) -> None:
    """Let ``write`` make a file beside ``path``, then rename it.

    What was at ``path`` stays whole until the new file is on the disk.

    Args:
        path: File to write; folders that are missing are made.
        write: Gets the path to write to.

    Raises:
        OSError: If the file cannot be written; the message says which and why, and
            nothing of it is left.
    """
    path = Path(path)
    # Threads may write the same file, and the mode of tempfile's files is 0600.
    beside = path.with_name(f'.{path.name}.{secrets.token_hex(6)}')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(beside)
        _to_disk(beside)
        os.replace(beside, path)
        _to_disk(path.parent)
    except (OSError, RuntimeError) as error:  # torch raises the latter
        reason = _disk_error(error)
        if reason is None:
            raise
        raise OSError(
            reason.errno or 0,
            f'the file cannot be written ({reason.strerror or reason})',
            str(path),
        ) from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def atomic_write(path: str | os.PathLike, text: str) -> None:
    """Write a text file in UTF-8 beside ``path``, then rename it.

    Raises:
        OSError: See :func:`write_whole`.
    """
    write_whole(path, lambda beside: beside.write_text(text, encoding='utf-8'))


def atomic_save(data: Any, path: str | os.PathLike) -> None:
    """``torch.save`` beside ``path``, then rename.

    Raises:
        OSError: See :func:`write_whole`.
    """

    def write(beside: Path) -> None:
        # Given a name, torch tells that it failed, but not why.
        with open(beside, 'wb') as stream:
            torch.save(data, stream)

    write_whole(path, write)


def try_save(data: Any, path: str | os.PathLike, otherwise: str) -> None:
    """:func:`atomic_save` of an aid, whose loss does not end a run.

    Args:
        data: What to save.
        path: Where.
        otherwise: What happens without the file, for the warning that a full disk
            gives.
    """
    try:
        atomic_save(data, path)
    except OSError as error:
        print_log(f'{error}: {otherwise}', 'current', logging.WARNING)


@contextmanager
def replaced_together(folder: str | os.PathLike) -> Iterator[Path]:
    """Replace files of a folder when all the new ones are whole, or none of them.

    One at a time may do so in a folder.

    Args:
        folder: The folder; it has to be there.

    Yields:
        The folder to write the new files to. At the end, each takes the place of
        the one of its name.

    Raises:
        OSError: If they cannot be moved.
    """
    folder = Path(folder)
    beside = folder / '.unfinished'
    shutil.rmtree(beside, ignore_errors=True)  # of a process that was killed
    try:
        beside.mkdir()
        yield beside
        for file in sorted(beside.iterdir()):
            os.replace(file, folder / file.name)
        _to_disk(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, survive a loss of power."""
    if path.is_dir() and os.name == 'nt':  # folders cannot be opened there
        return
    handle = os.open(path, os.O_RDWR if not path.is_dir() else os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        if not path.is_dir():  # some file systems refuse it for folders
            raise
    finally:
        os.close(handle)


def _disk_error(error: BaseException | None) -> OSError | None:
    """The error of the operating system that is behind an error, if there is one."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error
