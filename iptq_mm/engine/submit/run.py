"""One command from an integer model to the files that an evaluation server takes."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import mmengine
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope

from ...calibration import ConfigError
from ..calibration_data import explained
from ..loading.backends import check_backend
from ..loading.devices import on_device
from ..loading.foreign import foreign_errors
from ..loading.models import check_checkpoint, read_config
from ..run.processes import by_first, joined
from ..run.work_dir import check_folder
from .coco import CocoServer
from .data import with_data
from .imagenet import ImageNetServer
from .predict import PREDICTIONS, predict

_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.-]*')


def submit(
    config: str | os.PathLike,
    checkpoint: str | None = None,
    *,
    name: str,
    data: str | None = None,
    out: str | None = None,
    predictions: str | None = None,
    testset: str | None = None,
    devkit: str | None = None,
    cfg_options: dict[str, Any] | None = None,
    launcher: str = 'none',
    backend: str | None = None,
    device: str | None = None,
) -> list[Path]:
    """Predict the images of a test set, and write what its server takes.

    Args:
        config: ``integer.py`` of a run; a float config serves as well.
        checkpoint: Its checkpoint; None: ``load_from`` of the config.
        name: Of the method, as the server will show it.
        data: Config whose ``test_dataloader`` names the images; None: ``config``. A
            data set without a pipeline gets that of ``config``.
        out: Folder of the files; None: ``submission`` beside the config.
        predictions: Pickle file of an earlier test, in the place of predicting.
        testset: Name of the test set in file names of COCO; None: it is taken from
            the name of the annotation file.
        devkit: Folder of ImageNet's development kit, or its ``meta.mat``.
        cfg_options: Overrides, by dotted key.
        launcher: mmengine's launcher.
        backend: What runs the integer model; None: as ``config`` says.
        device: Where the model runs; None: where mmengine finds an accelerator.

    Returns:
        The files, written by the first process.

    Raises:
        ConfigError: If something is missing or does not fit.
        FileNotFoundError: If a file is missing.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"--name '{name}': it becomes part of a file name; write letters, digits, "
            "'.', '-' and '_'"
        )
    cfg = read_config(config, checkpoint, cfg_options)
    cfg.launcher = launcher
    if data:
        with_data(cfg, data, cfg_options)
    folder = Path(out or Path(config).parent / 'submission')
    check_folder(folder, '--out')
    with on_device(device, launcher) as chosen:
        if backend:
            check_backend(backend, chosen)
        dataset = test_set(cfg, config)
        server: CocoServer | ImageNetServer
        if cfg.get('default_scope') == 'mmdet':
            server = CocoServer(dataset, name, testset)
        else:
            server = ImageNetServer(dataset, name, devkit)
        path = predictions or str(folder / PREDICTIONS)
        if predictions is None:
            check_checkpoint(cfg)
        written: list[Path] = []
        with joined(cfg):
            if predictions is None:
                predict(cfg, path, backend)
            by_first(lambda: written.extend(_write(server, path, folder)))
    return written


def test_set(cfg: Config, name: str | os.PathLike) -> Any:
    """The data set of the test images.

    Raises:
        ConfigError: If there is none, or it cannot be read.
    """
    dataset = (cfg.get('test_dataloader') or {}).get('dataset')
    if not dataset:
        raise ConfigError(f'{name} has no test_dataloader: name images with --data')
    init_default_scope(cfg.get('default_scope') or 'mmengine')
    with explained('the test images'):
        return DATASETS.build(dataset)


def _write(
    server: CocoServer | ImageNetServer, predictions: str, folder: Path
) -> list[Path]:
    if not Path(predictions).is_file():
        raise FileNotFoundError(f'there is no file of predictions {predictions}')
    advice = 'name a pickle file that a test with --out has written'
    what = f'{predictions} holds no predictions'
    with foreign_errors(what, advice):
        samples = mmengine.load(predictions)
    if not isinstance(samples, list) or not all(isinstance(s, dict) for s in samples):
        raise ConfigError(f'{what}, but a {type(samples).__name__}; {advice}')
    return server.write(samples, folder)
