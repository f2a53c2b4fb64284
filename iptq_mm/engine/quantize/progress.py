"""Batches of a phase, with progress in the log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any, Protocol, runtime_checkable

from mmengine import dist

from ...calibration.config.parts import GROUP
from ...utils.durations import duration
from .bars import bar, log
from .outlook import Outlook

#: Seconds after which a phase says at the latest how far it is.
FIRST_SECONDS = 30.0


@runtime_checkable
class ByImage(Protocol):
    """Batches that can leave out single images."""

    @property
    def positions(self) -> list[int]:
        """Those of the images of all ranks, ascending."""

    def only(self, positions: Sequence[int]) -> Any:
        """Batches without all other images."""

    def first(self) -> Any:
        """The first image of this rank as the only batch."""


def some_batches(
    batches: Iterable,
    phase: str,
    total: int | None,
    images: int,
    config: Any,
    outlook: Outlook | None = None,
) -> Iterator:
    """Batches of about ``images`` images, see :func:`evenly_spread`, with progress."""
    some, count = batches, total
    if isinstance(batches, ByImage):
        some = batches.only(spread_images(batches.positions, images))
        count = len(some)
    elif total is not None:
        some = Picked(batches, evenly_spread(total, images, config))
        count = len(some)
    yield from progress_of(some, phase, count, outlook=outlook)


def spread_images(positions: Sequence[int], images: int) -> list[int]:
    """About ``images`` of the positions, evenly spread, in groups of :data:`GROUP`.

    They depend neither on the size of a batch nor on the number of ranks.
    """
    size = min(GROUP, images)
    groups = [positions[i : i + size] for i in range(0, len(positions), size)]
    wanted = min(-(-images // size), len(groups))
    chosen = sorted({i * len(groups) // wanted for i in range(wanted)})
    return [position for i in chosen for position in groups[i]]


def evenly_spread(total: int, images: int, config: Any) -> list[int]:
    """Numbers of the batches of this rank that have about ``images`` images.

    For batches that are no :class:`ByImage`. They are evenly spread over those of all
    ranks, because data sets are often sorted by class.

    Args:
        total: Batches of this rank.
        images: Wanted on all ranks together.
        config: Has the size of a batch.
    """
    totals = dist.all_gather_object(total)
    every, before = sum(totals), sum(totals[: dist.get_rank()])
    wanted = min(-(-images // config.calibration.batch_size), every)
    spread = (i * every // wanted - before for i in range(wanted))
    return sorted({i for i in spread if 0 <= i < total})


class Halves:
    """Batches, and then others.

    Attributes:
        first: Those that come first.
        rest: The others.
    """

    def __init__(self, first: Any, rest: Any) -> None:
        self.first, self.rest = first, rest

    def __len__(self) -> int:
        return len(self.first) + len(self.rest)

    def __iter__(self) -> Iterator[Any]:
        return chain(self.first, self.rest)


class Picked:
    """Some of the batches.

    Args:
        batches: All of them.
        chosen: Their numbers, ascending.
    """

    def __init__(self, batches: Iterable, chosen: Sequence[int]) -> None:
        self._batches, self._chosen = batches, chosen

    def __len__(self) -> int:
        return len(self._chosen)

    def __iter__(self) -> Iterator[Any]:
        wanted = set(self._chosen)
        last = max(wanted, default=-1)
        each = enumerate(islice(self._batches, last + 1))
        return (batch for i, batch in each if i in wanted)


def progress_of(
    batches: Iterable,
    phase: str,
    total: int | None,
    unit: str = 'batch',
    outlook: Outlook | None = None,
) -> Iterator:
    """The batches of a phase; the log says how far it is, and the time that is left.

    It does after each tenth of the batches, and where these take long, after
    :data:`FIRST_SECONDS` and then whenever a tenth more time has passed. On a terminal
    there is a bar in the place of these lines; a file has them anyway.

    Args:
        batches: What the phase goes through.
        phase: Its name.
        total: How many there are; None: not known.
        unit: What one of them is called.
        outlook: Of the whole run, if it is known.
    """
    began, step = time.perf_counter(), max(1, (total or 100) // 10)
    due = FIRST_SECONDS
    with bar(phase) as advance:
        for i, batch in enumerate(batches, 1):
            yield batch
            spent = time.perf_counter() - began
            done = i / total if total else 0.0
            left = f', {duration(spent / i * (total - i))} left' if total else ''
            run = outlook.now(phase, done, spent) if outlook else ''
            text = f'{unit} {i}/{total or "?"}, {duration(spent)}{left}{run}'
            if advance is not None:
                advance(done, text)
            if i % step == 0 or i == total or spent >= due:
                due = spent + max(FIRST_SECONDS, spent / 10)
                log(f'{phase}: {text}')


@contextmanager
def watched(
    phase: str, outlook: Outlook | None = None
) -> Iterator[Callable[[float, str, bool], None]]:
    """A bar, or lines in the log, for a phase that does not go through batches.

    Args:
        phase: Its name.
        outlook: Of the whole run, if it is known.

    Yields:
        What shows how far it is: takes the part that is done, a text about it, and
        whether the log is to have it as a line.
    """
    began = time.perf_counter()
    with bar(phase) as advance:

        def show(done: float, text: str, due: bool) -> None:
            spent = time.perf_counter() - began
            shown = text + (outlook.now(phase, done, spent) if outlook else '')
            if advance is not None:
                advance(done, shown)
            if due:
                log(f'{phase}: {shown}')

        yield show
