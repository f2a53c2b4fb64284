"""A folder with all that a runtime needs of a detector."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import DATASETS

from ....program.backends.native.file.writer import write_compiled
from ....utils.files import atomic_write
from ...loading.example import example_batch, test_pipeline
from ...loading.models import load_quantized
from ..image_format import image_format
from .programs import DetectorPrograms, detector_programs


def export_detector(
    config: str | os.PathLike,
    checkpoint: str | None,
    out: str | os.PathLike,
    *,
    shape: tuple[int, int] | None = None,
    cfg_options: dict[str, Any] | None = None,
) -> DetectorPrograms:
    """Write a quantized detector as programs and what stands between them.

    Args:
        config: The config that was written beside the integer checkpoint.
        checkpoint: Its checkpoint; None: ``load_from`` of the config.
        out: Folder for ``detector.json`` and the ``.iptq`` files.
        shape: Height and width of the image that the model gets; None: as its test
            pipeline makes them.
        cfg_options: Overrides, by dotted key.

    Returns:
        What was written.

    Raises:
        ConfigError: If a part is not quantized, or none that the runtimes have.
        FileNotFoundError: If the config or the checkpoint is missing.
        ProgramError: If an operation has no kernel.
    """
    cfg, model = load_quantized(os.fspath(config), checkpoint, cfg_options)
    made = detector_programs(
        model,
        example_batch(cfg, shape),
        image_format(model, test_pipeline(cfg)),
        class_names(cfg),
    )
    write_detector(made, out)
    return made


def class_names(cfg: Config) -> Sequence[str]:
    """The classes that the config of the evaluation names, or else its dataset.

    Args:
        cfg: The config.

    Returns:
        Their names; empty where there are none.
    """
    dataset = cfg.test_dataloader.dataset
    with DATASETS.switch_scope_and_registry(cfg.get('default_scope')) as registry:
        known = getattr(registry.get(dataset.type), 'METAINFO', {})
    return (dataset.get('metainfo') or {}).get('classes') or known.get('classes') or ()


def write_detector(made: DetectorPrograms, out: str | os.PathLike) -> None:
    """Write the files; ``detector.json`` comes last, and an older one goes first.

    Args:
        made: The programs.
        out: The folder.

    Raises:
        ProgramError: If an operation has no kernel.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'detector.json').unlink(missing_ok=True)
    for name, program in made.programs.items():
        write_compiled(program, folder / name)
    atomic_write(folder / 'detector.json', json.dumps(made.settings, indent=1))
