"""The last lines of a run: what came out, and where it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..report.verdict import metric_rows, verdict


def closing(
    results: dict[str, Any], work_dir: str | os.PathLike, report: Path | None
) -> str:
    """What a user looks for at the end of the screen.

    Args:
        results: What ``results.json`` holds.
        work_dir: Where everything is.
        report: The report; None: it could not be written.
    """
    folder = Path(work_dir)
    bits = results['bits']
    images = results['images']
    said = verdict(results, None)
    lines = [
        f'finished: W{bits["weight"]}A{bits["activation"]} of {results["config"]}, '
        f'{images["calibration"]} calibration images, {images["evaluation"]} evaluated',
        *(f'  {_metric(row)}' for row in metric_rows(results) if _is_number(row)),
    ]
    if results.get('agreement') is not None:
        lines.append(f'  same top-1: {results["agreement"]:.2%}')
    lines.append(said['word'])
    lines += [f'  {finding}' for finding in said['findings'][:3]]
    lines.append(f'integer model: {folder / "integer.py"}, {folder / "integer.pth"}')
    if report is not None:
        lines.append(f'open in a browser: {report}')
    return '\n'.join(lines)


def _is_number(row: dict[str, Any]) -> bool:
    return isinstance(row['integer'], int | float)


def _metric(row: dict[str, Any]) -> str:
    if not isinstance(row['float'], int | float):
        return f'{row["name"]}: integer {row["integer"]:.4f}'
    return (
        f'{row["name"]}: float {row["float"]:.4f}, integer {row["integer"]:.4f} '
        f'({row["difference"]:+.4f})'
    )
