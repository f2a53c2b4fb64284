"""Writes the results of a run to its work dir as soon as they are known."""

from __future__ import annotations

import json
import logging
import platform
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import mmengine
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import nn

from ...calibration import ConfigError, QuantizationConfig
from ...functions import function_name
from ...modes import regions_in
from ...plan import save_plan
from ...utils.files import atomic_write, replaced_together
from ...version import __version__
from ...visualization import plot_assignment
from ..evaluate.comparing_loop import ComparingLoop
from ..evaluate.float_results import FLOAT_FILE
from ..evaluate.summary import summary
from ..evaluate.verdict import warnings
from ..export.checkpoint import export_config, save_quantized, write_config
from ..export.written import check_written
from ..guarantee import CertifyHook
from ..loading.models import unwrapped
from ..quantize.model import Quantization
from .described import described_run, file_digest
from .processes import by_first
from .work_dir import GUARDED


class Quantizing(Protocol):
    """What makes the model of a run integer, before its test."""

    #: None before.
    result: Quantization | None
    #: Describes the calibration images.
    calibration: dict[str, Any]

    def config(self, cfg: Any) -> QuantizationConfig:
        """The quantization settings in a config."""

    def sections(self) -> dict[str, Any]:
        """Sections of ``results.json`` beside those that every run has."""


class OutcomeHook(Hook):
    """Writes the results of a run before another hook may fail.

    Args:
        config: The config that was quantized, as it was read.
        quantizing: The hook that quantizes.
        certifying: The hook that makes a guarantee; None: none is asked for.

    Attributes:
        results: What ``results.json`` holds, after the test.
    """

    priority = 'HIGHEST'

    def __init__(
        self,
        config: Config,
        quantizing: Quantizing,
        certifying: CertifyHook | None = None,
    ) -> None:
        self._config = config
        self._quantizing = quantizing
        self._certifying = certifying
        self.results: dict[str, Any] = {}

    def after_test_epoch(self, runner: Runner, metrics: Any = None) -> None:
        """Put the results together, and write them in the first process."""
        loop, found = runner.test_loop, self._quantizing.result
        assert isinstance(loop, ComparingLoop) and found is not None
        self.results = {
            **{k: v for k, v in loop.results.items() if k != 'seconds'},
            'assignment': found.assignment(),
            'cost': _cost(found),
            'calibration': self._quantizing.calibration,
            'checks': found.checks,
            **self._quantizing.sections(),
            'seconds': {**found.seconds, **loop.results['seconds']},
            'device': _device(runner.model),
            'seed': runner.seed,
            **described_run(
                self._config,
                self._quantizing.config(self._config),
                found.plans,
                unwrapped(runner.model),
                {
                    'calibration': self._quantizing.calibration['images'],
                    'evaluation': len(runner.test_dataloader.dataset),  # type: ignore
                },
            ),
            'versions': _versions(),
        }
        if found.reconstruction:
            self.results['reconstruction'] = found.reconstruction
        if self._certifying:
            self.results['guarantee'] = self._certifying.section()
        self.results['warnings'] = warnings(self.results)
        by_first(lambda: self._write(runner, found))

    def _write(self, runner: Runner, found: Quantization) -> None:
        """Replace the results of an earlier run, when all the new ones are whole.

        Raises:
            ConfigError: If they do not give back the model; they are in ``rejected``.
            OSError: If one cannot be written; those of the earlier run stay.
        """
        folder = Path(runner.work_dir)
        with replaced_together(folder) as new:
            self._write_model(runner, new)
            save_plan(found.plans, new / 'plan.json')
            model = new / 'integer.pth'
            self.results['digest'] = {model.name: file_digest(model)}
            self.results['bytes'] = {model.name: model.stat().st_size}
            text = json.dumps(self.results, indent=1)
            atomic_write(new / 'results.json', text + '\n')
            floats = runner.test_loop.float_results  # type: ignore[union-attr]
            if floats is not None:
                atomic_write(new / FLOAT_FILE, floats.text() + '\n')
            try:
                check_written(new / 'integer.py', runner.model, _first_batch(runner))
            except ConfigError as error:
                rejected = folder / 'rejected'
                with suppress(OSError):
                    shutil.copytree(new, rejected, dirs_exist_ok=True)
                raise ConfigError(
                    f'{error}. All that was written is in {rejected}; please report it'
                ) from error
            except Exception as error:  # no memory for another model, for instance
                print_log(
                    f'integer.py was written, but could not be tried ({error})',
                    'current',
                    logging.WARNING,
                )
        if not (self._certifying and self._certifying.wide):
            for name in GUARDED:  # of another model, that an earlier run made
                (folder / name).unlink(missing_ok=True)
        print_log('\n' + summary(self.results, found, folder), 'current')
        for warning in self.results['warnings']:
            print_log(f'of little use: {warning}', 'current', logging.WARNING)
        self._draw(found, folder / 'functions.png')

    def _write_model(self, runner: Runner, folder: Path) -> None:
        metainfo = getattr(runner.test_dataloader.dataset, 'metainfo', None)
        save_quantized(runner.model, folder / 'integer.pth', metainfo)
        config = self._config
        # A region that overrides keep float as a whole is none.
        bound = regions_in(runner.model)
        regions = [
            region
            for region in self._quantizing.config(config).regions
            if any(f'{name}.'.startswith(f'{region}.') for name in bound)
        ]
        exported = export_config(config, regions, 'integer.pth', config.backend)
        if self._certifying:
            self._certifying.write(
                runner, exported, folder, metainfo, _first_batch(runner)
            )
            exported = self._certifying.exported(exported)
        write_config(exported, folder / 'integer.py')

    def _draw(self, found: Quantization, path: Path) -> None:
        """Draw what was chosen; without a picture, the results are as good."""
        try:
            plot_assignment(self.results['assignment'], found.records, path)
        except Exception as error:  # whatever the drawing library raises
            path.unlink(missing_ok=True)  # it would be an earlier run's
            print_log(
                f'{path} could not be drawn ({error}); all results are written',
                'current',
                logging.WARNING,
            )


def _first_batch(runner: Runner) -> Any:
    """The first test image, as a batch."""
    loader: Any = runner.test_dataloader
    return loader.collate_fn([loader.dataset[0]])


def _device(model: nn.Module) -> str:
    """Where a model is, in words."""
    kind = next((p.device.type for p in model.parameters()), 'cpu')
    return torch.cuda.get_device_name() if kind == 'cuda' else kind


def _cost(result: Quantization) -> float:
    """Weighted operations of the chosen functions, for one image."""
    return sum(
        result.records[region].candidates[site][function_name(plan.function)].total_cost
        for region, plans in result.plans.items()
        for site, plan in plans.sites.items()
        if plan.function
    )


def _versions() -> dict[str, str]:
    versions = {
        'iptq_mm': __version__,
        'python': platform.python_version(),
        'torch': torch.__version__,
        'mmengine': mmengine.__version__,
    }
    for name in ('mmcv', 'mmdet', 'mmpretrain'):
        # What was not imported had no part in it, and may not even be importable.
        if name in sys.modules:
            versions[name] = sys.modules[name].__version__
    return versions
