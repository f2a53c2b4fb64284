"""Batches of a phase, with progress in the log."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from mmengine import dist
from mmengine.logging import print_log


def some_batches(
    batches: Iterable, phase: str, total: int | None, images: int, config: Any
) -> Iterator:
    """Batches of about ``images`` images, with progress in the log.

    The batches are evenly spread over those of all ranks, because data sets are often
    sorted by class.
    """
    if total is None:
        yield from progress_of(batches, phase, None)
        return
    totals = dist.all_gather_object(total)
    every, before = sum(totals), sum(totals[: dist.get_rank()])
    wanted = min(-(-images // config.calibration.batch_size), every)
    spread = (i * every // wanted - before for i in range(wanted))
    chosen = {i for i in spread if 0 <= i < total}
    last = max(chosen, default=-1)
    picked = (b for i, b in enumerate(islice(batches, last + 1)) if i in chosen)
    yield from progress_of(picked, phase, len(chosen))


def progress_of(batches: Iterable, phase: str, total: int | None) -> Iterator:
    """The batches of a phase; logs about ten lines on the way."""
    began, step = time.perf_counter(), max(1, (total or 100) // 10)
    for i, batch in enumerate(batches, 1):
        yield batch
        if i % step == 0 or i == total:
            spent = time.perf_counter() - began
            left = f', {spent / i * (total - i):.0f} s left' if total else ''
            print_log(
                f'{phase}: batch {i}/{total or "?"}, {spent:.0f} s{left}', 'current'
            )
