"""What a search knows of a model: measured once, kept in its work dir."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from ...calibration import QuantizationConfig, check_patterns, observe
from ...calibration.config import OUTPUT_ERROR
from ...calibration.phases.sensitivity.effects import Sensitivities, SiteSensitivity
from ...calibration.phases.sensitivity.forms import WeightForm
from ...calibration.phases.sensitivity.measure import sensitivities
from ...calibration.regions import check_regions, expanded
from ...record import RegionRecord
from ...utils.files import atomic_write
from ..loading.example import example_batch
from ..loading.models import build_model, new_model, read_config, unwrapped
from ..quantize.kernel_times import measure_times
from ..quantize.model import done_until, started
from ..quantize.progress import progress_of
from ..quantize.settings import read_settings
from ..quantize.state import state_key
from .costs import CostTable, measured
from .images import search_images

#: Increased when the same settings give other sensitivities.
VERSION = 3


def search_settings(cfg: Config) -> QuantizationConfig:
    """The settings of a config, with functions judged by the error of the outputs.

    Raises:
        ConfigError: If it is no valid quantization.
    """
    quantization = dict(cfg.get('quantization') or {})
    quantization['criterion'] = dict(OUTPUT_ERROR)
    quantization['analysis'], quantization['methods'] = 'site', []
    return read_settings(cfg, quantization)


def measure_model(
    cfg: Config,
    folder: Path,
    forms: Sequence[WeightForm],
    widths: Sequence[int],
    functions: bool,
) -> tuple[Sensitivities, dict[str, RegionRecord]]:
    """The sensitivities of a model's sites, and its records.

    Both are kept in the folder, and used again for the same weights, settings and
    images.

    Args:
        cfg: The whole config of a float model.
        folder: The work dir.
        forms: Of weights, those to try.
        widths: Of activations, the bits to try.
        functions: Whether the times of functions are measured, too.

    Raises:
        ConfigError: If the config asks for something impossible.
    """
    settings = search_settings(cfg)
    model: Any = unwrapped(build_model(cfg))
    seed = (cfg.get('randomness') or {}).get('seed') or 0
    settings, loader, judging = search_images(cfg, settings, seed)
    described = repr((seed, cfg.get('train_dataloader')))
    wanted = repr((VERSION, *map(str, sorted(forms)), *sorted({*widths})))
    key = state_key(model, settings.described() + wanted, described)
    folder.mkdir(parents=True, exist_ok=True)
    state = folder / 'analysis.state'
    run = started(model, settings, loader, state, True, described)
    records = done_until('analyse', run).state.records
    if functions:
        measure_times(model, settings, records)
    path = folder / 'sensitivity.json'
    found = _kept(path, key)
    if found is None:
        batches = progress_of(judging, 'sensitivity', len(judging))
        inputs = done_until('measure', run, after='analyse').inputs
        tried = sorted(forms), sorted({*widths})
        found = sensitivities(
            model, settings, records, run.forward, batches, *tried, inputs=inputs
        )
        sites = {
            region: {site: seen.to_dict() for site, seen in of_region.items()}
            for region, of_region in found.items()
        }
        atomic_write(path, json.dumps({'key': key, 'sites': sites}, indent=1) + '\n')
    return found, records


def _kept(path: Path, key: dict[str, str]) -> Sensitivities | None:
    """The sensitivities in a file, if they are those of this model."""
    if not path.exists():
        return None
    try:
        data = json.loads(path.read_text(encoding='utf-8'))
        if data['key'] != key:
            print_log(f'{path}: of another model or settings, measured anew', 'current')
            return None
        return {
            region: {s: SiteSensitivity.from_dict(seen) for s, seen in sites.items()}
            for region, sites in data['sites'].items()
        }
    except (KeyError, TypeError, ValueError) as error:
        print_log(f'{path}: cannot be read ({error})', 'current', logging.WARNING)
        return None


def measure_costs(
    config: str | os.PathLike,
    shape: tuple[int, int] | None = None,
    cfg_options: dict[str, Any] | None = None,
) -> CostTable:
    """Measure the native kernels that products of a model may have, on this machine.

    Weights do not matter: no checkpoint is read.

    Args:
        config: Config of a float model with a quantization dict.
        shape: Height and width of the image that the model gets; None: as the test
            pipeline of the config makes them.
        cfg_options: Overrides, by dotted key.

    Raises:
        ConfigError: If the config asks for something impossible.
        FileNotFoundError: If there is no such config.
        RuntimeError: If there is no native library.
    """
    cfg = read_config(config, None, cfg_options)
    settings = search_settings(cfg)
    model: Any = unwrapped(new_model(cfg)).eval()
    settings.regions = expanded(model, settings.regions)
    check_regions(model, settings)
    check_patterns(model, settings)
    batch = example_batch(cfg, shape)
    records = observe(model, settings, model.test_step, [batch])
    found = sensitivities(model, settings, records, model.test_step, [batch], draws=0)
    return measured(found)
