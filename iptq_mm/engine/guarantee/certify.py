"""Makes the guarantee of a run: held-out images, the wider model, the statements."""

from __future__ import annotations

import copy
import logging
import time
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import nn

from ...calibration import ConfigError, QuantizationConfig
from ...calibration.config import widened
from ...calibration.config.guarantee import check_images
from ...guarantee import Guarantee
from ...models import GuardedClassifier
from ...modes import regions_in
from ...program import use_backend
from ..calibration_data import (
    build_calibration_dataloader,
    build_held_out_dataloader,
    loaders_of,
)
from ..evaluate.comparing_loop import twin
from ..export.checkpoint import save_quantized, write_config
from ..export.written import check_written
from ..loading.models import unwrapped
from ..quantize.model import quantize_model
from .collect import collect
from .export import flagging, guarding
from .hook import FlagHook

#: Findings of the calibration of the wider model, in the work dir.
STATE_FILE = 'calibration_wide.pth'
_WHERE = 'quantization.guarantee'


class CertifyHook(Hook):
    """Certifies a model between its quantization and its evaluation.

    Args:
        settings: The quantization settings.
        resume: Whether to go on after the last finished phase of the wider model.

    Attributes:
        guarantee: What holds; None before.
        wide: The wider model; None: none was asked for.
        seconds: What it took, by step.
    """

    # After the hook that quantizes, and before hooks that watch the evaluation.
    priority = 'HIGH'

    def __init__(self, settings: QuantizationConfig, resume: bool = False) -> None:
        self._settings = settings
        self._resume = resume
        self._held_out: Any = None
        self._float: nn.Module | None = None
        self._flags: FlagHook | None = None
        self.guarantee: Guarantee | None = None
        self.wide: nn.Module | None = None
        self.seconds: dict[str, float] = {}

    def prepare(self, runner: Runner) -> None:
        """Find the held-out images, before hours are spent.

        Raises:
            ConfigError: If they are too few, the model is no classifier whose head is a
                region, or the settings of the guard are impossible.
        """
        wanted = self._settings.guarantee
        model = unwrapped(runner.model)
        if not hasattr(model, 'head') or not any(
            name.split('.')[0] == 'head' for name in self._settings.regions
        ):
            raise ConfigError(
                f'{_WHERE}: {type(model).__name__} has no head among '
                f'quantization.regions ({", ".join(self._settings.regions)}). Margins '
                'are those of integer logits: a guarantee is for classifiers whose '
                "head is quantized, as in regions=['backbone', 'head']"
            )
        if wanted.guard is not None:
            widened(self._settings)
        seed = (runner.cfg.get('randomness') or {}).get('seed') or 0
        loader = build_held_out_dataloader(loaders_of(runner), self._settings, seed)
        found = 0 if loader is None else len(loader.dataset)  # type: ignore[arg-type]
        check_images(wanted, found, _WHERE)
        if found < wanted.images:
            print_log(
                f'{_WHERE}: only {found} images are left of the calibration data where '
                f'{wanted.images} are asked for',
                'current',
                logging.WARNING,
            )
        self._held_out = loader

    def before_run(self, runner: Runner) -> None:
        """Keep the float model: the evaluation may do without it."""
        self._float = twin(unwrapped(runner.model))

    def before_test(self, runner: Runner) -> None:
        """Certify.

        Raises:
            ConfigError: If the held-out images do not bear out what is asked for.
        """
        model, wanted = unwrapped(runner.model), self._settings.guarantee
        floats, self._float = self._float, None
        assert floats is not None
        began = time.perf_counter()
        if wanted.guard is not None:
            self.wide = self._widened(runner, floats)
            self.seconds['wide'] = round(time.perf_counter() - began, 2)
        began = time.perf_counter()
        held = collect(floats, model, self.wide, self._held_out)
        try:
            self.guarantee = Guarantee.of(
                *held,
                agreement=wanted.agreement,
                confidence=wanted.confidence,
                target=wanted.target,
                guarded=self.wide is not None,
            )
        except ValueError as error:
            raise ConfigError(
                f'{_WHERE}: {error}; ask for less, or quantize with more bits'
            ) from error
        self.seconds['held-out'] = round(time.perf_counter() - began, 2)
        self._flags = FlagHook(self.guarantee.to_dict())
        runner.register_hook(self._flags)

    def _widened(self, runner: Runner, floats: nn.Module) -> nn.Module:
        """The guard's model: the float model, quantized with more bits."""
        settings = widened(self._settings)
        wide = copy.deepcopy(floats)
        seed = (runner.cfg.get('randomness') or {}).get('seed') or 0
        loaders = loaders_of(runner)
        print_log('the model of the guard is quantized', 'current')
        quantize_model(
            wide,
            settings,
            build_calibration_dataloader(loaders, settings, seed),
            Path(runner.work_dir) / STATE_FILE,
            self._resume,
            repr((seed, [loaders[f'{s}_dataloader'] for s in ('train', 'test')])),
        )
        if runner.cfg.get('backend'):
            use_backend(wide, runner.cfg.backend)
        return wide

    def section(self) -> dict[str, Any]:
        """The section ``guarantee`` of ``results.json``, after the evaluation."""
        assert self.guarantee is not None and self._flags is not None
        alarm = self._flags.finish()
        return {
            **self.guarantee.to_dict(),
            'evaluation': {
                'flagged': alarm.flagged,
                'images': alarm.images,
                'probability': alarm.probability,
                'alarm': alarm.raised,
            },
            'seconds': self.seconds,
        }

    def exported(self, config: Config) -> Config:
        """The config of the integer model, whose answers get flags."""
        assert self.guarantee is not None
        return flagging(config, self.guarantee)

    def write(
        self, runner: Runner, config: Config, folder: Path, metainfo: Any, batch: Any
    ) -> None:
        """Write the guarded model, ``guarded.py`` and ``guarded.pth``, if there is one.

        Args:
            runner: Has the integer model.
            config: That of the integer model, before :meth:`exported`.
            folder: Where to.
            metainfo: Of the evaluation's dataset.
            batch: Of some test images, for a trial.

        Raises:
            ConfigError: If the files do not give back the model.
        """
        if self.wide is None:
            return
        assert self.guarantee is not None
        # Copies, whose regions have the names that they get when they are loaded.
        parts = {
            'model': copy.deepcopy(unwrapped(runner.model)),
            'wide': copy.deepcopy(self.wide),
        }
        for name, part in parts.items():
            for region in regions_in(part).values():
                region.name, region.session = f'{name}.{region.name}', None
        model = GuardedClassifier(**parts, guarantee=self.guarantee)
        save_quantized(model, folder / 'guarded.pth', metainfo)
        write_config(guarding(config, self.guarantee), folder / 'guarded.py')
        check_written(folder / 'guarded.py', model, batch)
