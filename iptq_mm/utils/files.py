"""Files that are whole or not there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def write_whole(path: str | os.PathLike, write: Callable[[Path], Any]) -> None:
    """Let ``write`` make a file beside ``path``, then rename it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f'.{path.name}.{os.getpid()}')
    try:
        write(beside)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def atomic_write(path: str | os.PathLike, text: str) -> None:
    """Write a text file beside ``path``, then rename it."""
    write_whole(path, lambda beside: beside.write_text(text))


def atomic_save(data: Any, path: str | os.PathLike) -> None:
    """``torch.save`` beside ``path``, then rename."""
    write_whole(path, lambda beside: torch.save(data, beside))
