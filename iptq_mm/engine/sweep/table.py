"""The table of a sweep as CSV and as Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from ...utils.markdown import table
from .results import Row
from .settings import Setting, SettingList

#: What the Markdown table shows of the metrics, unless the settings say otherwise.
USUAL_METRICS = {
    'accuracy/top1': 'top-1, %',
    'coco/bbox_mAP': 'box AP, %',
    'coco/segm_mAP': 'mask AP, %',
}

Rows = Sequence[Row | None]


def write_csv(settings: SettingList, rows: Rows) -> str:
    """CSV with all figures of all rows, unrounded; missing figures are empty cells.

    Args:
        settings: What was asked for.
        rows: The row of each setting; None: not run yet.
    """
    metrics = _metrics(rows)
    lines = [
        _cells(setting, row, metrics)
        for setting, row in zip(settings.settings, rows, strict=True)
    ]
    file = io.StringIO()
    writer = csv.DictWriter(file, list(lines[0]), lineterminator='\n')
    writer.writeheader()
    writer.writerows(lines)
    return file.getvalue()


def _metrics(rows: Rows) -> list[str]:
    """Names of all metrics, in the order in which they came."""
    found = [{**row.floats, **row.integers} for row in rows if row]
    return list(dict.fromkeys(name for metrics in found for name in metrics))


def _cells(setting: Setting, row: Row | None, metrics: list[str]) -> dict[str, object]:
    """The cells of a line, by column."""
    state = 'not run' if row is None else 'failed' if row.error else 'done'
    row = row or Row('', '')
    cells: dict[str, object] = {'name': setting.name, 'state': state}
    for name in metrics:
        cells[f'float {name}'] = row.floats.get(name)
        cells[f'integer {name}'] = row.integers.get(name)
        cells[f'difference {name}'] = difference(row, name)
    seconds = row.seconds
    return {
        **cells,
        'agreement': row.agreement,
        'sqnr_db': row.sqnr_db,
        'saturated': row.saturated,
        'bits': setting.bits,
        'cost': row.cost,
        'functions': _joined(row.functions),
        'calibration_seconds': calibration_seconds(row),
        'float_seconds': seconds.get('float'),
        'integer_seconds': seconds.get('integer'),
        'total_seconds': seconds.get('total'),
        'seed': setting.seed,
        'calibration_images': setting.images,
        'threads': row.threads if seconds else None,
        'versions': _joined(row.versions),
        'error': row.error,
    }


def difference(row: Row, metric: str) -> float | None:
    """Integer minus float."""
    if metric not in row.floats or metric not in row.integers:
        return None
    return round(row.integers[metric] - row.floats[metric], 6)


def calibration_seconds(row: Row) -> float | None:
    """Time of all that comes before the evaluation."""
    later = ('float', 'integer', 'total')
    phases = [spent for phase, spent in row.seconds.items() if phase not in later]
    return round(sum(phases), 2) if phases else None


def _joined(named: dict) -> str:
    return ', '.join(f'{name} {value}' for name, value in named.items())


def write_markdown(settings: SettingList, rows: Rows, command: str) -> str:
    """Markdown with the most important figures, rounded, and with their origin.

    Args:
        settings: What was asked for.
        rows: The row of each setting; None: not run yet.
        command: The command line.
    """
    made = dict.fromkeys(_joined(row.versions) for row in rows if row and row.versions)
    head = [f'# {settings.title}', '', f'Made by `{command}`']
    head[-1] += f' with {"; or with ".join(made)}.' if made else '.'
    if settings.notes:
        head += ['', settings.notes]
    found = _metrics(rows)
    usual = [name for name in USUAL_METRICS if name in found]
    metrics = settings.metrics or usual or found
    lines = [
        _line(setting, row, metrics)
        for setting, row in zip(settings.settings, rows, strict=True)
    ]
    titles = [title for title in lines[0] if any(line[title] for line in lines)]
    cells = [[line[title] for title in titles] for line in lines]
    failed = [
        f'- {row.name}: {" ".join(row.error.split())}'
        for row in rows
        if row and row.error
    ]
    return '\n'.join(
        [
            *head,
            '',
            table(titles, cells, align='l' + 'r' * (len(titles) - 1)),
            *(['', 'Failed:', '', *failed] if failed else []),
            '',
        ]
    )


def _line(setting: Setting, row: Row | None, metrics: list[str]) -> dict[str, str]:
    """The cells of a line of the Markdown table, by title."""
    figures = row or Row('', '')
    line = {'setting': setting.name}
    for name in metrics:
        title = USUAL_METRICS.get(name, name)
        line[f'float {title}'] = _metric(name, figures.floats.get(name))
        line[f'integer {title}'] = _metric(name, figures.integers.get(name))
        line['difference' if len(metrics) == 1 else f'difference {title}'] = _metric(
            name, difference(figures, name), '+'
        )
    seconds = figures.seconds
    line |= {
        'same top-1, %': _number(figures.agreement, '.2f', 100),
        'SQNR, dB': _number(figures.sqnr_db, '.1f'),
        'saturated, %': _number(figures.saturated, '.4f', 100),
        'bits': setting.bits,
        'cost, M/image': _number(figures.cost, '.3f', 1e-6),
        'calibration, s': _number(calibration_seconds(figures), '.0f'),
        'evaluation, s': _number(seconds.get('integer'), '.0f'),
        'seed': str(setting.seed),
        'images': str(setting.images),
    }
    if row is None or row.error:
        # In the first column of figures, if there is one already.
        place = next(title for title in line if not line[title])
        line[place] = 'failed' if row else 'not run'
    return line


def _metric(name: str, value: float | None, sign: str = '') -> str:
    """Percent for accuracies and average precisions."""
    if 'mAP' in name or 'AR@' in name:
        return _number(value, f'{sign}.2f', 100)
    if name in USUAL_METRICS or name.startswith('accuracy/'):
        return _number(value, f'{sign}.2f')
    return _number(value, f'{sign}.4g')


def _number(value: float | None, form: str, factor: float = 1) -> str:
    return '' if value is None else format(value * factor, form)
