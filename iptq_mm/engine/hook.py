"""Quantization as a hook of any mmengine runner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.hooks import EMAHook, Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import Tensor, nn

from ..calibration import PLAN_KEY, ConfigError, QuantizationConfig
from ..plan import save_plan
from ..program import Session, use_backend
from ..registry import HOOKS
from .calibration_data import build_calibration_dataloader
from .quantize import Quantization, quantize_model, unwrapped
from .settings import read_settings

#: Records of finished phases, in the work dir.
STATE_FILE = 'calibration.pth'


@HOOKS.register_module()
class QuantizationHook(Hook):
    """Quantizes the runner's model before it is validated or tested.

    Afterwards the model of the runner is the integer one, and the plan lies in
    the work dir as ``plan.json``. ``randomness.seed`` of the config (0 if there
    is none) decides which images calibrate it.

    Args:
        quantization: As ``quantization`` of a config; None: the config's own.
        candidates: As ``candidates`` of a config; None: the config's own.
        resume: Whether to go on after the last finished phase of an
            interrupted run in the same work dir.
        backend: What runs the integer model, a name in ``BACKENDS``; None: the eager
            integer mode. The integers are the same.

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
    ) -> None:
        if backend:
            Session(backend).check()
        self._backend = backend
        self._quantization = quantization
        self._candidates = candidates
        self._resume = resume
        self._training = False
        self._unloaded: dict[str, tuple[Tensor, int]] = {}
        self.result: Quantization | None = None

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
        self._quantize(runner)

    def before_test(self, runner: Runner) -> None:
        """Quantize."""
        self._quantize(runner)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Note which tensors the checkpoint has to fill, before it does.

        Raises:
            ConfigError: If the checkpoint is quantized already.
        """
        model = unwrapped(runner.model)
        keys = checkpoint.get('state_dict', checkpoint)
        if any(key.endswith(f'.{PLAN_KEY}') for key in keys):
            raise ConfigError(
                'the checkpoint is quantized already: quantize the float one, or use '
                'this one with the config that was written beside it'
            )
        if not self._unloaded:
            self._unloaded = {
                f'{name}.{key}': (value, value._version)
                for name in self.config(runner.cfg).regions
                for key, value in _state(model, name).items()
                if value.is_floating_point()
            }

    def _quantize(self, runner: Runner) -> None:
        if self.result is not None or self._training:
            return
        self._check_loaded()
        if any(isinstance(hook, EMAHook) for hook in runner.hooks):
            raise ConfigError(
                'EMAHook writes to the weights after they became integers: take it out '
                'of custom_hooks (checkpoints hold the averaged weights already)'
            )
        config = self.config(runner.cfg)
        seed = (runner.cfg.get('randomness') or {}).get('seed') or 0
        loader = build_calibration_dataloader(runner.cfg, config, seed)
        sources = [runner.cfg.get(f'{split}_dataloader') for split in ('train', 'test')]
        work_dir = Path(runner.work_dir)
        self.result = quantize_model(
            runner.model,
            config,
            loader,
            work_dir / STATE_FILE,
            self._resume,
            repr((seed, sources)),
        )
        if self._backend:
            use_backend(unwrapped(runner.model), self._backend)
        if runner.rank == 0:
            save_plan(self.result.plans, work_dir / 'plan.json')

    def _check_loaded(self) -> None:
        """Refuse random weights where the checkpoint had none to give.

        mmengine only warns. Copying into a tensor changes its version, whatever
        names and shapes the model's own loading code puts up with.
        """
        left = [
            k for k, (t, version) in self._unloaded.items() if t._version == version
        ]
        self._unloaded = {}
        if left:
            raise ConfigError(
                f'the checkpoint has no values for {len(left)} tensors, for instance '
                f"'{left[0]}': it belongs to another model, or has to be converted"
            )

    def config(self, cfg: Any) -> QuantizationConfig:
        """The checked settings of this hook in a runner with this config."""
        return read_settings(cfg, self._quantization, self._candidates)


def _state(model: nn.Module, name: str) -> dict[str, Tensor]:
    """The tensors of a region; none where there is no such part."""
    try:
        return model.get_submodule(name).state_dict(keep_vars=True)
    except AttributeError:
        return {}
