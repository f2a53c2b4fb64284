"""How far a download is, for people."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Bars


class Progress:
    """A bar on the error output while a block runs; without a terminal, nothing.

    Args:
        name: What is fetched.
        done: How many bytes of it are there.
        size: How many it has; None if that is unknown.
    """

    def __init__(self, name: str, done: int, size: int | None) -> None:
        console = Console(stderr=True)
        self._bars = Bars(
            TextColumn('{task.description}'),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bars.add_task(name, total=size, completed=done)

    def __enter__(self) -> Progress:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def add(self, count: int) -> None:
        """Count bytes that have come."""
        self._bars.advance(self._task, count)
