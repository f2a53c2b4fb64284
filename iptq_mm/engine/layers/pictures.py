"""Pictures and tables of what quantized models do at their layers."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...calibration import ConfigError
from ...calibration.config import meant
from ...criteria.errors import CandidateErrors
from ...operations import OPERATIONS, NonLinear
from ...utils.decibels import decibels
from ...utils.files import atomic_write
from ...visualization import plot_by_layer, plot_histogram
from .models import Models, images
from .watching import Seen

#: Kinds for which functions are chosen.
_KINDS = tuple(k for k, x in OPERATIONS.items() if isinstance(x, NonLinear))
#: What :func:`draw_layers` writes.
LAYER_FILES = ('layer_sqnr.png', 'sqnr_difference.png', 'layer_sqnr.csv')
#: Errors by model and ``region:site``.
Errors = Mapping[str, Mapping[str, CandidateErrors]]


def draw_layers(
    config: str | os.PathLike,
    work_dirs: Sequence[str | os.PathLike],
    checkpoint: str | None = None,
    *,
    count: int = 32,
    split: str = 'test',
    literal: bool = False,
    cfg_options: dict[str, Any] | None = None,
) -> list[Path]:
    """Draw the SQNR of every non-linear layer of integer models, and its difference.

    What comes in and what goes out is compared with the float model on the same images,
    so that errors of all layers before count, too. The SQNR difference is that of the
    input minus that of the output: what the layer loses.

    Args:
        config: Config of the float model, such as the one that was quantized.
        work_dirs: Folders that ``tools/quantize.py`` wrote, from one float model.
        checkpoint: Float checkpoint; None: ``load_from`` of the config.
        count: How many images.
        split: ``test`` or ``calibration``, see :func:`~.models.images`.
        literal: Whether SQNR is the ASQNR of Mixed Non-linear Quantization, 20 log10 of
            the mean of the images' ratios, or 10 log10 of all signals over all errors.
        cfg_options: Overrides of the config, by dotted key.

    Returns:
        What was written into the first folder: ``layer_sqnr.png``,
        ``sqnr_difference.png`` and ``layer_sqnr.csv``.

    Raises:
        ConfigError: If models, images and config do not belong together.
        FileNotFoundError: If a file is missing.
    """
    models = Models(config, work_dirs, checkpoint, cfg_options)
    sites = {s: kind for s, kind in models.sites().items() if kind in _KINDS}
    if not sites:
        raise ConfigError('there is no GELU, Softmax or LayerNorm in the regions')
    errors: dict[str, dict[str, CandidateErrors]] = {name: {} for name in models.names}

    def take(model: str, site: str, integer: Seen, real: Seen) -> None:
        errors[model].setdefault(site, CandidateErrors()).add_batch(
            real.result, integer.result, real.operand, integer.operand, images=1
        )

    models.compare(images(models.cfg, split, count), sites, take)
    for name, found in errors.items():
        if not found:
            raise ConfigError(
                f'the model of the config has none of the layers of {name}: name the '
                'config that was quantized'
            )
    folder = Path(work_dirs[0])
    levels = {
        name: {site: _levels(e, literal) for site, e in found.items()}
        for name, found in errors.items()
    }
    outputs = {n: {s: out for s, (_, out) in x.items()} for n, x in levels.items()}
    lost = {n: {s: i - out for s, (i, out) in x.items()} for n, x in levels.items()}
    unit = 'ASQNR' if literal else 'SQNR, dB'
    written = [folder / name for name in LAYER_FILES]
    plot_by_layer(outputs, sites, written[0], unit)
    plot_by_layer(lost, sites, written[1], f'{unit}: input - output', bars=True)
    atomic_write(written[2], _csv(errors, sites))
    return written


def draw_histogram(
    config: str | os.PathLike,
    work_dir: str | os.PathLike,
    site: str,
    checkpoint: str | None = None,
    *,
    count: int = 8,
    split: str = 'test',
    cfg_options: dict[str, Any] | None = None,
) -> Path:
    """Draw the distribution of a layer's output, in floats and in integers.

    Args:
        config: Config of the float model, such as the one that was quantized.
        work_dir: Folder that ``tools/quantize.py`` wrote.
        site: ``region:site`` as in ``plan.json``, or a part of it that no other has.
        checkpoint: Float checkpoint; None: ``load_from`` of the config.
        count: How many images.
        split: ``test`` or ``calibration``, see :func:`~.models.images`.
        cfg_options: Overrides of the config, by dotted key.

    Returns:
        The picture, ``histogram_<site>.png`` in the folder.

    Raises:
        ConfigError: If there is no such site, or model, images and config do not belong
            together.
        FileNotFoundError: If a file is missing.
    """
    models = Models(config, [work_dir], checkpoint, cfg_options)
    name = site_named(site, list(models.sites()))
    integers, floats = list[np.ndarray](), list[np.ndarray]()

    def take(model: str, site: str, integer: Seen, real: Seen) -> None:
        integers.append(integer.result.double().numpy())
        floats.append(real.result.double().numpy())

    models.compare(images(models.cfg, split, count), [name], take)
    if not floats:
        raise ConfigError(
            f"'{name}' did not run in both models: take more images, and name the "
            'config that was quantized'
        )
    exact, found = np.concatenate(floats), np.concatenate(integers)
    sqnr = decibels(float((exact**2).sum()), float(((exact - found) ** 2).sum()))
    slug = re.sub(r'[^\w.]+', '-', name)
    path = Path(work_dir) / f'histogram_{slug}.png'
    plot_histogram(exact, found, path, f'{name}, SQNR {sqnr:.1f} dB')
    return path


def site_named(name: str, sites: Sequence[str]) -> str:
    """The site that a user means.

    Args:
        name: Its name, or a part of it that no other has.
        sites: The names of all.

    Raises:
        ConfigError: If it means none of them, or several; names some.
    """
    if name in sites:
        return name
    found = [site for site in sites if name in site]
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(
            f"'{name}' is part of the names of {len(found)} sites: say which, "
            f'{", ".join(found[:3])}{", ..." if found[3:] else ""}'
        )
    short = [site.partition(':')[2] for site in sites]
    advice = meant(name, sites) or meant(name, short) or f'; there are {sites[0]}, ...'
    raise ConfigError(f"there is no site '{name}'{advice} (plan.json has them all)")


def _levels(errors: CandidateErrors, literal: bool) -> tuple[float, float]:
    """SQNR of input and output."""
    if literal:
        return errors.input_asqnr, errors.asqnr
    return errors.input_sqnr_db, errors.sqnr_db


def _csv(errors: Errors, sites: Mapping[str, str]) -> str:
    """A line for each model and site, with both kinds of SQNR."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    figures = ('input_sqnr_db', 'sqnr_db', 'input_asqnr', 'asqnr')
    writer.writerow(['model', 'site', 'kind', *figures])
    for model, found in errors.items():
        for site, e in found.items():
            values = (f'{getattr(e, figure):.3f}' for figure in figures)
            writer.writerow([model, site, sites[site], *values])
    return text.getvalue()
