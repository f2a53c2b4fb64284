"""From a config to the audit of the quantized model that it builds."""

from __future__ import annotations

import os
from typing import Any

from mmengine.config import Config
from mmengine.runner import set_random_seed

from ...program.audit import ModelAudit, audit_model
from ..calibration_data import build_calibration_dataloader
from ..loading.example import example_batch
from ..loading.models import build_model, is_quantized, new_model, read_config
from ..quantize.model import quantize_model
from ..run.checks import check_config


def audit_config(
    config: str | os.PathLike,
    checkpoint: str | None = None,
    *,
    shape: tuple[int, int] | None = None,
    cfg_options: dict[str, Any] | None = None,
) -> ModelAudit:
    """Audit the model of a config.

    Args:
        config: A config that was written beside an integer checkpoint; or one of a
            float model, which is quantized first, without evaluating it.
        checkpoint: Its checkpoint; None: ``load_from`` of the config.
        shape: Height and width of the image that the model gets; None: as the test
            pipeline of the config makes them.
        cfg_options: Overrides, by dotted key.

    Raises:
        ConfigError: If the config asks for something impossible.
        FileNotFoundError: If the config or the checkpoint is missing.
    """
    cfg = read_config(config, checkpoint, cfg_options)
    quantized = is_quantized(cfg.get('model'))
    model: Any = build_model(cfg) if quantized else quantized_model(cfg, config)
    batch = example_batch(cfg, shape)
    for module in model.modules():
        _let_all_pass(getattr(module, 'test_cfg', None))
    return audit_model(model, lambda: model.test_step(batch))


def quantized_model(cfg: Config, name: str | os.PathLike) -> Any:
    """Quantize the model of a config, as ``tools/quantize.py`` does; write nothing.

    Args:
        cfg: The whole config, of a float model.
        name: What messages call it.

    Raises:
        ConfigError: If the config asks for something impossible.
        FileNotFoundError: If the checkpoint is missing.
    """
    settings = check_config(cfg, name)
    seed = (cfg.get('randomness') or {}).get('seed') or 0
    model = build_model(cfg) if cfg.load_from else _random_model(cfg, seed)
    loader = build_calibration_dataloader(cfg, settings, seed)
    quantize_model(model, settings, loader, seed=seed)
    return model


def _random_model(cfg: Config, seed: int) -> Any:
    """The model with the weights that a training would begin with."""
    set_random_seed(seed)
    model: Any = new_model(cfg)
    for module in model.modules():
        init = getattr(module, 'init_cfg', None)
        if isinstance(init, dict) and init.get('type') == 'Pretrained':
            module.init_cfg = None  # nothing shall be fetched
    model.init_weights()
    return model.eval()


def _let_all_pass(test_cfg: Any) -> None:
    """Have something found, whatever the image: so that no head is left out."""
    for key, value in test_cfg.items() if isinstance(test_cfg, dict) else ():
        if key == 'score_thr':
            test_cfg[key] = 0.0
        _let_all_pass(value)
