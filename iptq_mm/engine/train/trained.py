"""The hook that puts a trained model in the place of the float one."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from ...calibration import QuantizationConfig
from ...modes.training import keep_constants
from ..quantize.model import Quantization
from ..quantize.outlook import Outlook
from ..quantize.settings import read_settings


class TrainedModel(Hook):
    """Puts a trained model in the place of the float one, before it is tested.

    Args:
        model: The trained model, in integers.
        found: What its quantization found.
        calibration: Describes the calibration images.
        training: A section of the results.
        outlook: What is still to come.
    """

    priority = 'VERY_HIGH'

    def __init__(
        self,
        model: nn.Module,
        found: Quantization,
        calibration: dict[str, Any],
        training: dict[str, Any],
        outlook: Outlook,
    ) -> None:
        self.calibration, self.outlook = calibration, outlook
        self.result: Quantization | None = None
        self._model, self._found, self._training = model, found, training

    def before_test(self, runner: Runner) -> None:
        """Exchange the models."""
        runner.model = self._model
        self.result = self._found

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Put constants that learned ranges have changed into the plans."""
        if batch_idx == 0:
            for name in self._found.plans:
                keep_constants(self._model.get_submodule(name))

    def config(self, cfg: Any) -> QuantizationConfig:
        """The quantization settings in a config."""
        return read_settings(cfg)

    def sections(self) -> dict[str, Any]:
        """The figures of the training."""
        return {'training': self._training}
