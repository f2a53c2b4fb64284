"""Measures rows in this process, or several at a time in processes of their own."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Generator, Iterable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict
from pathlib import Path

import torch

from .results import Order, Row, measure

#: Seconds between two looks at running processes.
_PAUSE = 0.1


def one_by_one(orders: Iterable[Order]) -> Generator[Order, None, None]:
    """Measure rows in this process.

    Args:
        orders: What to measure.

    Yields:
        Each order whose row is written.
    """
    for order in orders:
        with (
            Path(order.log_file).open('w') as log,
            redirect_stdout(log),
            redirect_stderr(log),
        ):
            measure(order)
        yield order


def in_processes(orders: Iterable[Order], jobs: int) -> Generator[Order, None, None]:
    """Measure several rows at a time, each in a process of its own.

    The processes share torch's threads evenly; those that still run when the
    iteration is left are ended.

    Args:
        orders: What to measure; taken as processes become free.
        jobs: How many at a time.

    Yields:
        Each order whose row is written, in the order of finishing.
    """
    threads = max(1, torch.get_num_threads() // jobs)
    running: dict[subprocess.Popen, Order] = {}
    coming = iter(orders)
    try:
        while True:
            for order in itertools.islice(coming, jobs - len(running)):
                running[_started(order, threads)] = order
            if not running:
                return
            for process in [p for p in running if p.poll() is not None]:
                order = running.pop(process)
                _check_written(order, process.returncode)
                yield order
            time.sleep(_PAUSE)
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()


def _started(order: Order, threads: int) -> subprocess.Popen:
    command = [sys.executable, '-m', 'iptq_mm.engine.sweep']
    number = str(threads)
    with Path(order.log_file).open('w') as log:
        return subprocess.Popen(
            [*command, json.dumps(asdict(order))],
            env={**os.environ, 'OMP_NUM_THREADS': number, 'MKL_NUM_THREADS': number},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def _check_written(order: Order, status: int) -> None:
    """Write a failed row for a process that died before it wrote its own."""
    if Row.read(Path(order.row_file), order.key) is None:
        error = f'its process ended with status {status}, see {order.log_file}'
        Row(order.name, order.key, error).write(Path(order.row_file))
