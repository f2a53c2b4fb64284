"""A float or an integer model, evaluated as mm's test scripts do it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ...calibration import ConfigError
from ..calibration_data import explained
from ..loading.checkpoints import loading
from ..loading.models import check_checkpoint, read_config
from .processes import joined
from .runner import built_runner
from .work_dir import check_folder


def evaluate(
    config: str | os.PathLike,
    checkpoint: str | None = None,
    *,
    work_dir: str | None = None,
    out: str | None = None,
    cfg_options: dict[str, Any] | None = None,
    launcher: str = 'none',
) -> dict[str, float]:
    """Evaluate the model of a config, of mmdet or mmpretrain.

    Args:
        config: Config file, ``integer.py`` for instance.
        checkpoint: Its checkpoint; None: ``load_from`` of the config.
        work_dir: Where mmengine's log goes; None: ``work_dir`` of the config, or
            ``work_dirs/<config name>``.
        out: Pickle file for the predictions.
        cfg_options: Overrides, by dotted key.
        launcher: mmengine's launcher.

    Returns:
        The metrics.

    Raises:
        ConfigError: If the config asks for something impossible.
        FileNotFoundError: If the config or the checkpoint is missing.
    """
    cfg = read_config(config, checkpoint, cfg_options)
    cfg.launcher = launcher
    cfg.work_dir = work_dir or cfg.get('work_dir') or f'work_dirs/{Path(config).stem}'
    for key in ('model', 'test_dataloader', 'test_evaluator', 'test_cfg'):
        if cfg.get(key) is None:
            raise ConfigError(f'{config} has no {key}: nothing could be evaluated')
    check_checkpoint(cfg)
    if out:
        if not out.endswith(('.pkl', '.pickle')):
            raise ConfigError(f'--out {out}: the file has to be a .pkl or .pickle')
        check_folder(Path(out).parent, '--out')
        kind = 'DumpResults'
        if cfg.get('default_scope') == 'mmdet':
            kind = 'DumpDetResults'
        given = cfg.test_evaluator
        given = given if isinstance(given, list) else [given]
        cfg.test_evaluator = [*given, dict(type=kind, out_file_path=out)]
    with joined(cfg):
        runner = built_runner(cfg)
        with explained('the evaluation images'):
            runner.test_loop  # noqa: B018 builds the data set
        with loading(cfg.load_from):
            runner.load_or_resume()
        return runner.test()
