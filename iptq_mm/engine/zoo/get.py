"""A public checkpoint, where configs look for it and in the form that mm loads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ...models.converters import CONVERTERS, convert_file
from .download import check_content, check_space, download
from .metafiles import PublicCheckpoint
from .mirrors import addresses
from .transfer import DownloadError, MissingError


def get(
    checkpoint: PublicCheckpoint,
    *,
    folder: str | None = None,
    mirrors: Sequence[str] = (),
    any_checksum: bool = False,
    trusted: bool = False,
    force: bool = False,
    keep: bool = False,
    say: Callable[[str], None] = print,
) -> Path:
    """Fetch a checkpoint and convert it, unless it is there.

    A public file that somebody put beside the target is converted like a fetched one.

    Args:
        checkpoint: Which one.
        folder: Where to; None: where its configs look for it.
        mirrors: Where to take it from, see :func:`~.mirrors.addresses`.
        any_checksum: Whether to take a file with another checksum than the known one.
        trusted: Whether its conversion may run code from it, see
            :func:`~iptq_mm.models.converters.load_state`.
        force: Whether to fetch it even if it is there.
        keep: Whether to keep the fetched file beside the converted one.
        say: Takes a line about each step.

    Returns:
        The checkpoint that mm loads.

    Raises:
        ConversionError: If the file cannot be converted.
        DownloadError: If it cannot be fetched; the class says why.
    """
    target = checkpoint.path(folder)
    original = target
    if checkpoint.converter:
        original = target.with_name(checkpoint.file_name)
    expected = '' if any_checksum else checkpoint.sha256
    if target.is_file() and not force:
        if original == target:
            _check_there(target, expected)
        say(f'{target} is there')
        return target
    fetched = force or not original.is_file()
    if fetched:
        _fetch(checkpoint, original, expected, mirrors, say)
    else:
        _check_there(original, expected)
    if original == target:
        return target
    check_space(target.parent, original.stat().st_size)
    say(f'converting {original} to {target}')
    convert_file(original, target, CONVERTERS[checkpoint.converter], trusted=trusted)
    if fetched and not keep:
        original.unlink()
    return target


def _fetch(
    checkpoint: PublicCheckpoint,
    original: Path,
    expected: str,
    mirrors: Sequence[str],
    say: Callable[[str], None],
) -> None:
    """Fetch the public file from the first address that has it."""
    missing: list[str] = []
    for url in addresses(checkpoint.url, mirrors):

        def check(path: Path, url: str = url) -> None:
            digest = check_content(path, url, expected)
            known = 'as expected' if expected else 'not compared with a known one'
            say(f'SHA-256 {digest}, {known}')

        try:
            say(f'{url} to {original}')
            download(url, original, check, also_needed=bool(checkpoint.converter))
            return
        except MissingError as error:
            missing.append(str(error))
        except DownloadError as error:
            raise type(error)(f'{error}{_otherwise(checkpoint, original)}') from error
    raise MissingError('; '.join(missing) + _otherwise(checkpoint, original))


def _check_there(path: Path, expected: str) -> None:
    try:
        check_content(path, f'an earlier download ({path})', expected)
    except DownloadError as error:
        raise type(error)(f'{error}; --force fetches it again') from error


def _otherwise(checkpoint: PublicCheckpoint, original: Path) -> str:
    return (
        f'. Other ways: --mirror ADDRESS_OR_FOLDER, or fetch {checkpoint.url} with '
        f'something else, put it at {original} and call this again'
    )
