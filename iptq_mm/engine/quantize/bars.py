"""A bar on a terminal for the phase that runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from mmengine import dist
from mmengine.logging import MMLogger
from rich.console import Console
from rich.file_proxy import FileProxy
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

#: Marks records of the log that a bar shows better, see :func:`to_files`.
_SHOWN = 'shown_by_a_bar'
#: Tells a bar how much of its phase is done, and a text about the time.
Advance = Callable[[float, str], None]
#: The bar that is drawn; there is one at a time.
_drawn: list[Progress] = []


def log(text: str) -> None:
    """Log a line about progress; while a bar is drawn, the terminal leaves it out."""
    logger = MMLogger.get_current_instance()
    logger.info(text, extra={_SHOWN: True})


@contextmanager
def bar(phase: str) -> Iterator[Advance | None]:
    """A bar while the block runs, in the first process, if the log has a terminal.

    Lines that are logged meanwhile stand above the bar.

    Args:
        phase: Its name.

    Yields:
        What moves the bar; None: there is none, because nothing of the log goes to a
        terminal, or another bar is drawn.
    """
    handlers = [] if _drawn or not dist.is_main_process() else _to_terminals()
    if not handlers:
        yield None
        return
    console = Console(file=handlers[0].stream)
    columns = (
        TextColumn('{task.description}'),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn('{task.fields[time]}'),
    )
    # Without a thread of its own: data loaders fork.
    progress = Progress(*columns, console=console, transient=True, auto_refresh=False)
    with ExitStack() as stack:
        for handler in handlers:
            stack.callback(handler.setStream, handler.stream)
            handler.setStream(FileProxy(console, handler.stream))
            handler.addFilter(_is_not_shown)
            stack.callback(handler.removeFilter, _is_not_shown)
        _drawn.append(progress)
        stack.callback(_drawn.clear)
        stack.enter_context(progress)
        task = progress.add_task(phase, total=1.0, time='')

        def advance(done: float, time: str) -> None:
            progress.update(task, completed=done, time=time, refresh=True)

        yield advance


def _to_terminals() -> list[logging.StreamHandler]:
    """Handlers of the log that write to a terminal on which a bar can be drawn."""
    return [
        handler
        for handler in MMLogger.get_current_instance().handlers
        if isinstance(handler, logging.StreamHandler)
        and Console(file=handler.stream).is_interactive
    ]


def _is_not_shown(record: logging.LogRecord) -> bool:
    return not getattr(record, _SHOWN, False)
