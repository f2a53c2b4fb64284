"""Folders that ``tools/quantize.py`` wrote."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ...calibration import ConfigError


def names_of(folders: Sequence[str | os.PathLike]) -> dict[str, Path]:
    """Folders by the names that tell them apart: as few parts of a path as do.

    Raises:
        ConfigError: If one is named twice.
    """
    paths = [Path(folder).resolve() for folder in folders]
    twice = [path for path in paths if paths.count(path) > 1]
    if twice:
        raise ConfigError(f'{twice[0]} is named twice')
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        names = ['/'.join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            break
    return dict(zip(names, paths, strict=True))


def file_in(folder: str | os.PathLike, name: str) -> Path:
    """A file of a work dir.

    Raises:
        FileNotFoundError: If it is not there; says what would write it.
    """
    path = Path(folder) / name
    if not path.is_file():
        raise FileNotFoundError(
            f'{folder} has no {name}: name a folder into which tools/quantize.py has '
            'written its results (--work-dir)'
        )
    return path
