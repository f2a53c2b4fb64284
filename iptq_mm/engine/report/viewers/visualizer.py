"""Curves and pictures of a run for mmengine's visualizer: TensorBoard, WandB, files."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

#: Pictures that a run draws into its work dir.
_DRAWN = ('functions.png',)


def show(
    visualizer: Any,
    results: Mapping[str, Any],
    measured: Mapping[str, Any],
    work_dir: Path,
) -> None:
    """Give a run to the back ends that the config names in ``visualizer``.

    Metrics, sizes and times have step 0. Curves by layer have the place of the layer in
    the order of execution as their step, those of a reconstruction the place of its
    part.

    Args:
        visualizer: mmengine's, of the runner.
        results: What ``results.json`` holds.
        measured: What ``measured.json`` holds.
        work_dir: Has pictures that the run drew.
    """
    for name, value, step in _curves(results, measured):
        visualizer.add_scalar(name, value, step)
    for name in _DRAWN:
        if (work_dir / name).is_file():
            visualizer.add_image(Path(name).stem, _pixels(work_dir / name))
    for step, picture in enumerate(measured.get('differing') or ()):
        file = io.BytesIO(base64.b64decode(picture['jpeg']))
        visualizer.add_image('differing', _pixels(file), step)


def _curves(
    results: Mapping[str, Any], measured: Mapping[str, Any]
) -> Iterator[tuple[str, float, int]]:
    """Names, values and steps."""
    for side in ('float', 'integer'):
        yield from _single(side, results.get(side) or {})
    yield from _single('sqnr_db', results.get('output_sqnr_db') or {})
    yield from _single('seconds', results.get('seconds') or {})
    yield from _single('bytes', results.get('bytes') or {})
    yield from _single('run', {'agreement': results.get('agreement')})
    sites = list((measured.get('sites') or {}).values())
    for key in ('sqnr_db', 'input_sqnr_db'):
        yield from _curve(f'layers/{key}', [site[key] for site in sites])
    parts = (results.get('reconstruction') or {}).get('decibels') or {}
    for i, when in enumerate(('before', 'after')):
        values = [pair[i] for pair in parts.values()]
        yield from _curve(f'reconstruction/{when}_db', values)


def _single(group: str, values: Mapping[str, Any]) -> Iterator[tuple[str, float, int]]:
    for name, value in values.items():
        if isinstance(value, int | float):
            yield f'{group}/{name}', float(value), 0


def _curve(name: str, values: Sequence[Any]) -> Iterator[tuple[str, float, int]]:
    for step, value in enumerate(values):
        if value is not None:
            yield name, float(value), step


def _pixels(file: Path | io.BytesIO) -> np.ndarray:
    """A picture as RGB."""
    with Image.open(file) as picture:
        return np.asarray(picture.convert('RGB'))
