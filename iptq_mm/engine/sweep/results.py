"""The results of a sweep: rows of its table, measured one by one, kept as files."""

from __future__ import annotations

import json
import math
import time
import traceback
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from ...utils.files import atomic_write
from ..run.pipeline import quantize_and_compare


@dataclass
class Row:
    """The figures of a setting, a row of the table.

    Attributes:
        name: Of the setting.
        key: Of the setting when it was measured.
        error: Why there are no figures; empty if there are.
        floats: Scalar metrics of the float model.
        integers: Scalar metrics of the integer model.
        agreement: Share of images with the same top-1; classifiers only.
        sqnr_db: Signal to noise of the logits, in dB; of other models, the
            smallest of all region outputs.
        saturated: Share of values that their range clipped.
        cost: Weighted operations of the chosen functions, for one image.
        functions: How many sites have each function.
        seconds: By phase, and ``total``.
        threads: Of torch.
        versions: By package.
    """

    name: str
    key: str
    error: str = ''
    floats: dict[str, float] = field(default_factory=dict)
    integers: dict[str, float] = field(default_factory=dict)
    agreement: float | None = None
    sqnr_db: float | None = None
    saturated: float | None = None
    cost: float | None = None
    functions: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    threads: int = 1
    versions: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, key: str) -> Row | None:
        """The row in a file, if there is one and it has this key."""
        try:
            row = cls(**json.loads(path.read_text(encoding='utf-8')))
        except (FileNotFoundError, TypeError, ValueError):
            return None
        return row if row.key == key else None

    def write(self, path: Path) -> None:
        """Keep the row."""
        atomic_write(path, json.dumps(asdict(self), indent=1) + '\n')


@dataclass(frozen=True)
class Order:
    """The order to measure a row, complete for a process of its own.

    Attributes:
        name: Of the setting.
        key: Of the setting.
        config: File of the whole config.
        regions: The regions, in order.
        row_file: Where to keep the row.
        log_file: Gets everything that is printed.
        work_dir: Folder of the run.
        float_cache: Folder of the outputs of float models.
    """

    name: str
    key: str
    config: str
    regions: list[str]
    row_file: str
    log_file: str
    work_dir: str
    float_cache: str


def measure(order: Order) -> None:
    """Quantize and evaluate a setting, and keep the row; of an error, too."""
    began = time.perf_counter()
    row = Row(order.name, order.key, threads=torch.get_num_threads())
    try:
        results = quantize_and_compare(
            order.config, work_dir=order.work_dir, float_cache=order.float_cache
        )
        fill(row, results, order.regions)
    except Exception as error:  # whatever goes wrong is this row's alone
        traceback.print_exc()
        row.error = f'{type(error).__name__}: {error}'
    row.seconds['total'] = round(time.perf_counter() - began, 2)
    row.write(Path(order.row_file))


def fill(row: Row, results: dict[str, Any], regions: list[str]) -> None:
    """Put the figures of a run into a row.

    Args:
        row: The row.
        results: Of ``quantize_and_compare``.
        regions: The regions, in order.
    """
    row.floats = _scalars(results['float'])
    row.integers = _scalars(results['integer'])
    row.agreement = results.get('agreement')
    noise: dict[str, float] = results['output_sqnr_db']
    if row.agreement is not None:
        noise = {k: v for k, v in noise.items() if k.startswith(f'{regions[-1]}:')}
    row.sqnr_db = min(noise.values(), default=None)
    saturated, total = results.get('saturated_values') or (0, 0)
    row.saturated = saturated / total if total else None
    row.cost = results['cost']
    row.functions = dict(Counter(results['assignment'].values()).most_common())
    row.seconds = dict(results['seconds'])
    row.versions = results['versions']


def _scalars(metrics: dict[str, Any]) -> dict[str, float]:
    return {
        k: v
        for k, v in metrics.items()
        if isinstance(v, int | float) and math.isfinite(v)
    }
