"""The end of a run: what its report needs is measured, and the report is written."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from ...modes import regions_in
from ...utils.files import atomic_write
from ..evaluate.comparing_loop import ComparingLoop
from ..evaluate.output_comparison import comparable
from ..loading.models import unwrapped
from ..quantize.augmentation import inside
from .measure import IMAGES, RESCALING, measure_sites
from .native_times import NONE, measure_native
from .page import try_report
from .viewers import show
from .work_dir import MEASURED_FILE

try:
    import resource
except ImportError:  # not of Windows
    resource = None  # type: ignore[assignment]

#: Share of the time of a run that measuring for its report may take, and the least, in
#: seconds.
_SHARE, _LEAST = 0.03, 1.0


def finish_report(
    loop: ComparingLoop, results: dict[str, Any], work_dir: str | os.PathLike
) -> Path | None:
    """Measure what the report shows beside the results, and write it.

    Nothing here fails a run: what cannot be measured or written is a warning.

    Args:
        loop: It has tested both models.
        results: What ``results.json`` holds.
        work_dir: Of the run.

    Returns:
        The report; None: it could not be written.
    """
    began, before = time.perf_counter(), _peak_mebibytes()
    path = Path(work_dir) / MEASURED_FILE
    path.unlink(missing_ok=True)  # it would be an earlier run's
    try:
        measured = _measured(loop, results)
        atomic_write(path, json.dumps(measured, allow_nan=False) + '\n')
    except Exception as error:  # the model of the user raises whatever it likes
        _warn(f'{path}: nothing could be measured for the report', error)
    else:
        try:
            show(loop.runner.visualizer, results, measured, Path(work_dir))
        except Exception as error:  # as other people's visualizers do
            _warn('the visualizer of the config shows nothing', error)
    report = try_report(work_dir)
    spent, run = time.perf_counter() - began, sum(results['seconds'].values())
    print_log(
        f'report: {spent:.1f} s, {spent / max(run + spent, 1e-9):.1%} of the run; '
        f'{_peak_mebibytes() - before:.0f} MiB more than its peak before',
        'current',
    )
    return report


def _peak_mebibytes() -> float:
    """Most memory that this process has had; 0 where the system does not say."""
    if resource is None:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == 'darwin' else 2**10)


def _measured(loop: ComparingLoop, results: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        'digest': (results.get('digest') or {}).get('integer.pth'),
        'differing': loop.differing,
        'difference_meaning': loop.difference_meaning,
        'missing': [],
    }
    missing = found['missing']
    found['native'] = measure_native(unwrapped(loop.integer_model))
    if not found['native']:
        missing.append(NONE)
    if not found['differing']:
        missing.append(
            'No images on which float and integer differ: predictions of both models '
            'for the same image were equal, or not known (the float model did not run '
            'now).'
        )
    float_model, model = loop.float_model, unwrapped(loop.integer_model)
    if float_model is None:
        missing.append(
            'No errors layer by layer: the float model did not run (--no-float, '
            '--float-results).'
        )
        return found
    if inside(model) is not model:
        missing.append('No errors layer by layer: there was test-time augmentation.')
        return found
    regions = [name for name in regions_in(model) if comparable(name)]
    left = [name for name in regions_in(model) if not comparable(name)]
    if left:
        missing.append(
            f'No errors in {", ".join(left)}: each model proposes boxes of its own.'
        )
    equalizers = (results.get('quantization') or {}).get('equalization') or []
    rescaling = any(e.get('type') in RESCALING for e in equalizers)
    seconds = max(_LEAST, _SHARE * sum(results['seconds'].values()))
    pixels = bool((results.get('quantization') or {}).get('pixels'))
    found |= measure_sites(
        float_model, model, _images(loop), regions, rescaling, seconds, pixels
    )
    if rescaling:
        missing.append(
            'Equalization gave channels other scales than the float model has: errors '
            'of layers besides LayerNorm, Softmax and GELU are those of the best scale '
            'of each channel, and their integer values are not drawn.'
        )
    return found


def _images(loop: ComparingLoop) -> Iterator[Any]:
    """Evaluated images, evenly spread, in batches of one."""
    loader: Any = loop.dataloader
    dataset = loader.dataset
    count = min(IMAGES, len(dataset))
    for i in range(count):
        yield loader.collate_fn([dataset[i * len(dataset) // count]])


def _warn(what: str, error: Exception) -> None:
    print_log(f'{what} ({type(error).__name__}: {error})', 'current', logging.WARNING)
