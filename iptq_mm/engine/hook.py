"""Quantization as a hook of any mmengine runner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from ..calibration import QuantizationConfig
from ..plan import save_plan
from ..registry import HOOKS
from .calibration_data import build_calibration_dataloader
from .quantize import Quantization, quantize_model

#: Records of finished phases, in the work dir.
STATE_FILE = 'calibration.pth'


@HOOKS.register_module()
class QuantizationHook(Hook):
    """Quantizes the runner's model before it is validated or tested.

    Afterwards the model of the runner is the integer one, and the plan lies in
    the work dir as ``plan.json``.

    Args:
        quantization: As ``quantization`` of a config; None: the config's own.
        candidates: As ``candidates`` of a config; None: the config's own.
        resume: Whether to go on after the last finished phase of an
            interrupted run in the same work dir.
    """

    priority = 'VERY_HIGH'

    def __init__(
        self,
        quantization: dict | None = None,
        candidates: dict | None = None,
        resume: bool = False,
    ) -> None:
        self._quantization = quantization
        self._candidates = candidates
        self._resume = resume
        self._training = False
        self.result: Quantization | None = None

    def before_train(self, runner: Runner) -> None:
        """Validation during float training stays float."""
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
        self._quantize(runner)

    def before_test(self, runner: Runner) -> None:
        """Quantize."""
        self._quantize(runner)

    def _quantize(self, runner: Runner) -> None:
        if self.result is not None or self._training:
            return
        config = self.config(runner.cfg)
        loader = build_calibration_dataloader(runner.cfg, config, runner.seed or 0)
        work_dir = Path(runner.work_dir)
        self.result = quantize_model(
            runner.model, config, loader, work_dir / STATE_FILE, self._resume
        )
        if runner.rank == 0:
            save_plan(self.result.plans, work_dir / 'plan.json')

    def config(self, cfg: Any) -> QuantizationConfig:
        """The checked settings of this hook in a runner with this config."""
        return QuantizationConfig.from_dict(
            self._quantization or cfg.get('quantization') or {},
            self._candidates or cfg.get('candidates') or {},
        )
