"""Quantization as a hook of any mmengine runner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import EMAHook, Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from ...calibration import ConfigError, QuantizationConfig
from ...plan import save_plan
from ...program import Session, use_backend
from ...registry import HOOKS
from ..calibration_data import (
    build_calibration_dataloader,
    describe_calibration,
    loaders_of,
)
from ..loading.backends import check_backend
from ..loading.checkpoints import LoadCheck, refuse_integers, weights_in
from ..loading.models import unwrapped
from .augmentation import Views, inside
from .model import Quantization, quantize_model
from .outlook import Outlook, expected
from .settings import read_settings

#: Records of finished phases, in the work dir.
STATE_FILE = 'calibration.pth'


@HOOKS.register_module()
class QuantizationHook(Hook):
    """Quantizes the runner's model before it is validated or tested.

    Afterwards the model of the runner is the integer one, and the plan lies in
    the work dir as ``plan.json``. ``randomness.seed`` of the config (0 if there
    is none) decides which images calibrate it. Under test-time augmentation
    (``tools/test.py --tta``) regions are named as in the model inside, and all views
    of the images calibrate it.

    Note:
        Quantization is a ``before_val`` and ``before_test`` hook because that is the
        first moment at which mmengine has everything that it needs: the checkpoint is
        loaded, the model is on its device and wrapped, and the evaluation is about to
        begin. So every tool that evaluates (``tools/test.py`` of mmdet and
        mmpretrain, ``Runner.val``, ``ComparingLoop``) can quantize by a line in
        ``custom_hooks``. The priority is ``VERY_HIGH`` because the other hooks of the
        same event have to see the integer model: a hook that ran earlier could keep
        float parameters, or modules that quantization replaces.

    Args:
        quantization: As ``quantization`` of a config; None: the config's own.
        candidates: As ``candidates`` of a config; None: the config's own.
        resume: Whether to go on after the last finished phase of an
            interrupted run in the same work dir.
        backend: What runs the integer model, a name in ``BACKENDS``; None: the eager
            integer mode. The integers are the same.
        plan_file: Name of the plan's file in the work dir; None: it is not written.

    Attributes:
        result: The result of quantization; None before.
        calibration: A description of the calibration images, in plain types.
        outlook: The phases of the run, and what they are worth; None before.

    Raises:
        KeyError: If there is no such back end.
    """

    priority = 'VERY_HIGH'

    def __init__(
        self,
        quantization: dict | None = None,
        candidates: dict | None = None,
        resume: bool = False,
        backend: str | None = None,
        plan_file: str | None = 'plan.json',
    ) -> None:
        if backend:
            Session(backend).check()
        self._backend = backend
        self._quantization = quantization
        self._candidates = candidates
        self._resume = resume
        self._plan_file = plan_file
        self._training = False
        self._load: LoadCheck | None = None
        self.result: Quantization | None = None
        self.calibration: dict[str, Any] = {}
        self.outlook: Outlook | None = None

    def before_train(self, runner: Runner) -> None:
        """Validation during float training stays float.

        Raises:
            RuntimeError: If the model is quantized already.
        """
        if self.result is not None:
            raise RuntimeError('QuantizationHook: integers cannot be trained')
        self._training = True
        print_log(
            'QuantizationHook: the model trains in float; quantize it afterwards with '
            'Runner.val() or Runner.test()',
            'current',
        )

    def after_train(self, runner: Runner) -> None:
        """From here on, validation and test are integer."""
        self._training = False

    def before_val(self, runner: Runner) -> None:
        """Quantize."""
        self._quantize(runner, runner.val_loop)

    def before_test(self, runner: Runner) -> None:
        """Quantize."""
        self._quantize(runner, runner.test_loop)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Note which tensors the checkpoint has to fill, before it does.

        Raises:
            ConfigError: If the checkpoint holds no weights, or is quantized already.
        """
        weights = weights_in(checkpoint)
        refuse_integers(weights)
        if self._load is None:
            self._load = LoadCheck(inside(runner.model), weights)

    def _quantize(self, runner: Runner, loop: Any) -> None:
        if self.result is not None or self._training:
            return
        model = inside(runner.model)
        config = self.config(runner.cfg)
        if model is not unwrapped(runner.model):  # the wrapper's name for it
            names = [name.removeprefix('module.') for name in config.regions]
            config = replace(config, regions=names)
        if self._backend:
            parameters = model.parameters()
            device = next((p.device for p in parameters), torch.device('cpu'))
            check_backend(self._backend, device)
        if self._load is not None:
            self._load.finish(config.regions)
            self._load = None
        if any(isinstance(hook, EMAHook) for hook in runner.hooks):
            raise ConfigError(
                'EMAHook writes to the weights after they became integers: take it out '
                'of custom_hooks (checkpoints hold the averaged weights already)'
            )
        seed = (runner.cfg.get('randomness') or {}).get('seed') or 0
        loaders = loaders_of(runner)
        loader = build_calibration_dataloader(loaders, config, seed)
        self.calibration = describe_calibration(loader, config)
        batches = loader if model is unwrapped(runner.model) else Views(loader)
        sources = [loaders[f'{split}_dataloader'] for split in ('train', 'test')]
        work_dir = Path(runner.work_dir)

        def foresee(phases: Sequence[str]) -> Outlook:
            evaluated = len(loop.dataloader.dataset)
            self.outlook = expected(
                phases,
                config,
                self.calibration['images'],
                evaluated,
                evaluated if getattr(loop, 'float_model', None) else 0,
                self._backend,
                hasattr(loop, 'float_model'),
                work_dir,
            )
            return self.outlook

        self.result = quantize_model(
            model,
            config,
            batches,
            work_dir / STATE_FILE,
            self._resume,
            repr((seed, sources)),
            seed=seed,
            foresee=foresee,
        )
        if self._backend:
            use_backend(model, self._backend)
        if runner.rank == 0 and self._plan_file:
            save_plan(self.result.plans, work_dir / self._plan_file)

    def config(self, cfg: Any) -> QuantizationConfig:
        """The checked settings of this hook in a runner with this config."""
        return read_settings(cfg, self._quantization, self._candidates)

    def sections(self) -> dict[str, Any]:
        """Sections of the results that only this way of quantizing has: none."""
        return {}
