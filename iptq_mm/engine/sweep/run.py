"""A whole sweep: which rows are missing, measuring them, writing tables."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from fnmatch import fnmatchcase
from pathlib import Path

from ...calibration import ConfigError
from ...utils.files import atomic_write
from ..export.checkpoint import write_config
from .results import Order, Row
from .settings import Setting, SettingList
from .table import write_csv, write_markdown
from .workers import in_processes, one_by_one


class Sweep:
    """Settings, and the folder of their results.

    The folder has ``table.csv``, ``table.md``, a JSON file for each row in ``rows/``,
    the log of each row in ``logs/``, and the outputs of the float models in ``float/``.

    Args:
        settings: What to compare.
        folder: Where to write.
        command: Command line, for the head of the table.
        say: Gets a line about each row that is finished.
    """

    def __init__(
        self,
        settings: SettingList,
        folder: str | os.PathLike,
        command: str,
        say: Callable[[str], None] = print,
    ) -> None:
        self.settings = settings
        self.folder = Path(folder)
        self.command = command
        self.say = say

    def run(
        self, patterns: Sequence[str] = (), jobs: int = 1, keep: bool = False
    ) -> bool:
        """Measure the rows that are not done; those that failed are tried again.

        Args:
            patterns: Of the names of the rows to measure; none: all.
            jobs: Rows at a time; more than one: each in a process of its own. Sums
                of floats depend on the number of threads, and with them the last
                bits of ranges: set OMP_NUM_THREADS where rows have to repeat.
            keep: Whether to keep the work dirs, in ``runs/``.

        Returns:
            Whether none of these rows failed.

        Raises:
            ConfigError: If a pattern fits no name.
        """
        chosen = self.matching(patterns)
        waiting = [s for s in chosen if self.state(s) != 'done']
        self.write_tables()
        with tempfile.TemporaryDirectory() as temporary:
            root = self.folder / 'runs' if keep else Path(temporary)
            orders = (self._order(setting, root) for setting in waiting)
            measured = one_by_one(orders) if jobs == 1 else in_processes(orders, jobs)
            # Other processes end with the iteration, whatever ends it.
            with closing(measured):
                self._take(measured, len(waiting), keep)
        return all(self.state(setting) == 'done' for setting in chosen)

    def matching(self, patterns: Sequence[str]) -> list[Setting]:
        """The settings whose names fit one of the patterns; all if there are none.

        Raises:
            ConfigError: If a pattern fits no name.
        """
        settings = self.settings.settings
        names = [setting.name for setting in settings]
        for pattern in patterns:
            if not any(_fits(name, pattern) for name in names):
                raise ConfigError(f'no setting fits {pattern!r}; there are {names}')
        return [
            setting
            for setting in settings
            if not patterns or any(_fits(setting.name, p) for p in patterns)
        ]

    def row(self, setting: Setting) -> Row | None:
        """The row of a setting, if it was measured as it is now."""
        return Row.read(self._file('rows', setting, 'json'), setting.key)

    def state(self, setting: Setting) -> str:
        """One of ``'done'``, ``'failed'`` and ``'not run'``."""
        row = self.row(setting)
        return 'not run' if row is None else 'failed' if row.error else 'done'

    def write_tables(self) -> None:
        """Write both tables, of the rows as they are now."""
        rows = [self.row(setting) for setting in self.settings.settings]
        atomic_write(self.folder / 'table.csv', write_csv(self.settings, rows))
        table = write_markdown(self.settings, rows, self.command)
        atomic_write(self.folder / 'table.md', table)

    def _take(self, measured: Iterator[Order], total: int, keep: bool) -> None:
        """Show each row as soon as it is there."""
        for count, order in enumerate(measured, 1):
            if not keep:
                shutil.rmtree(order.work_dir)
            self.write_tables()
            row = Row.read(Path(order.row_file), order.key)
            assert row is not None
            figures = [f'{name} {value:.4g}' for name, value in row.integers.items()]
            self.say(
                f'[{count}/{total}] {row.name}: {row.error or ", ".join(figures)} '
                f'({row.seconds.get("total", 0):.0f} s)'
            )

    def _order(self, setting: Setting, root: Path) -> Order:
        """Write what the process needs that measures a row."""
        work_dir = root / setting.slug
        config = work_dir / 'setting.py'
        # mmengine's names of two runs that begin within a second must differ.
        name = setting.cfg.experiment_name = f'{setting.slug}_{setting.key[:8]}'
        if setting.cfg.get('visualizer'):
            # One of the same name would write to the folder of the row before.
            setting.cfg.visualizer['name'] = name
        write_config(setting.cfg, config)
        row_file = self._file('rows', setting, 'json')
        # A failed one is tried again.
        row_file.unlink(missing_ok=True)
        log_file = self._file('logs', setting, 'txt')
        log_file.parent.mkdir(parents=True, exist_ok=True)
        return Order(
            setting.name,
            setting.key,
            str(config),
            setting.quantization.regions,
            str(row_file),
            str(log_file),
            str(work_dir),
            str(self.folder / 'float'),
        )

    def _file(self, kind: str, setting: Setting, ending: str) -> Path:
        # The slug may hold dots: no with_suffix.
        return self.folder / kind / f'{setting.slug}.{ending}'


def _fits(name: str, pattern: str) -> bool:
    return name == pattern or fnmatchcase(name, pattern)
