"""Files that metrics write: those of the float model lie beside the integer one's."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

from mmengine.evaluator import DumpResults, Evaluator

#: Attributes of mm's metrics that name folders, or beginnings of paths, to write to.
PLACES = (
    'outfile_prefix',
    'seg_out_dir',
    'output_dir',
    'save_dir',
    'csv_dir',
    'pred_dir',
)
#: Attributes that name files to write.
FILES = ('outfile_path', 'proposals_file', 'csv_path')
#: The same in one class of metrics; elsewhere such a name may be an input's.
FILES_OF = {'ReportVQA': ('file_path',)}


def float_evaluator(evaluator: Evaluator) -> Evaluator:
    """A copy of an evaluator for the float model.

    It shares no path with the original: what the one writes is not what the other
    reads again. Files of predictions are the integer model's alone.
    """
    evaluator = copy.deepcopy(evaluator)
    evaluator.metrics = [m for m in evaluator.metrics if not isinstance(m, DumpResults)]
    for metric in evaluator.metrics:
        for name in PLACES:
            _move(metric, name, is_file=False)
        for name in (*FILES, *FILES_OF.get(type(metric).__name__, ())):
            _move(metric, name, is_file=True)
    return evaluator


def _move(metric: Any, name: str, is_file: bool) -> None:
    place = getattr(metric, name, None)
    if not isinstance(place, str) or not place:
        return
    if is_file:
        moved = str(Path(place).with_name(f'{Path(place).stem}_float'))
        moved += Path(place).suffix
    else:
        moved = f'{place.rstrip(os.sep)}_float'
    setattr(metric, name, moved)
    if os.path.isdir(place):
        os.makedirs(moved, exist_ok=True)


def taken_dumps(evaluator: Evaluator) -> list[DumpResults]:
    """Take the metrics that write predictions out of an evaluator."""
    dumps = [m for m in evaluator.metrics if isinstance(m, DumpResults)]
    evaluator.metrics = [m for m in evaluator.metrics if not isinstance(m, DumpResults)]
    return dumps


def write_dump(dump: DumpResults, count: int) -> None:
    """Let a metric write its predictions.

    Args:
        dump: The metric.
        count: Images of the data set.

    Raises:
        OSError: If it cannot; names the file.
    """
    try:
        dump.evaluate(count)
    except OSError as error:
        path = str(dump.out_file_path)
        reason = f'the predictions cannot be written ({error.strerror or error})'
        raise OSError(error.errno or 0, reason, path) from error
