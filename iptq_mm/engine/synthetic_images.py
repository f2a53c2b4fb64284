"""From a config and a checkpoint to a folder of images for its calibration."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import load_checkpoint
from torch import Tensor, nn

from ..calibration import ConfigError
from ..datasets.synthetic import NoiseImages
from .synthetic_optimization import logits_of, optimize_images

#: Marks a folder that may be replaced, and says how it was made.
STAMP = 'synthetic.json'
#: File names and classes, as ``CustomDataset`` and ``ImageNet`` read them.
LIST = 'images.txt'


def make_calibration_images(
    config: str | os.PathLike,
    checkpoint: str | None = None,
    *,
    out: str | os.PathLike,
    num_images: int = 32,
    steps: int = 15,
    size: Sequence[int] | None = None,
    seed: int = 0,
    cfg_options: dict[str, Any] | None = None,
) -> Path:
    """Write images that stand for the training set of a classifier.

    They start as dead leaves with the mean and standard deviation of the config's
    ``data_preprocessor`` and are optimized to show classes, see
    :func:`~iptq_mm.engine.synthetic_optimization.optimize_images`. The folder then
    holds PNG
    files and the list ``images.txt``; a config calibrates on it with::

        quantization = dict(calibration=dict(dataloader=dict(dataset=dict(
            type='CustomDataset', data_root=OUT, ann_file='images.txt',
            pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')]))))

    Args:
        config: Config file of an mmpretrain classifier.
        checkpoint: Float checkpoint; None: ``load_from`` of the config.
        out: Folder to write; it is whole or not there. One that this function
            wrote is replaced.
        num_images: How many images.
        steps: Steps of optimization; 0 leaves the dead leaves as they are.
        size: Height and width; None: ``img_size`` of the config's backbone.
        seed: Decides about images, classes, shifts and flips.
        cfg_options: Overrides, by dotted key.

    Returns:
        ``out``.

    Raises:
        ConfigError: If the model is no classifier or does not fit its checkpoint.
        FileExistsError: If ``out`` holds something else.
        FileNotFoundError: If config or checkpoint are missing.
    """
    if num_images < 1 or steps < 0:
        raise ConfigError(f'{num_images} images, {steps} steps: use at least 1 and 0')
    if not Path(config).is_file():
        raise FileNotFoundError(f'there is no config {config}')
    out = Path(out)
    _refuse_other_files(out)
    cfg = Config.fromfile(config)
    cfg.merge_from_dict(cfg_options or {})
    model = _load(cfg, checkpoint or cfg.get('load_from'))
    images = _leaves(cfg, num_images, _size(cfg, size), seed)
    with torch.no_grad():
        device = next(model.parameters()).device
        classes = logits_of(model, images[:1].float().to(device)).shape[1]
    targets = _targets(classes, num_images, seed)
    images = optimize_images(model, images, targets, steps=steps, seed=seed)
    made = {'config': Path(config).name, 'steps': steps, 'seed': seed}
    _write(out, images, targets, made)
    return out


def _load(cfg: Config, checkpoint: str | None) -> nn.Module:
    """The float model on the device that mmengine would choose."""
    if not cfg.get('model'):
        raise ConfigError('the config has no model')
    if not checkpoint:
        raise ConfigError(
            'no checkpoint: name one after the config, or as load_from in it'
        )
    if '://' not in checkpoint and not Path(checkpoint).is_file():
        raise FileNotFoundError(f'there is no checkpoint {checkpoint}')
    init_default_scope(cfg.get('default_scope') or 'mmpretrain')
    settings = dict(cfg.model)
    settings.setdefault('data_preprocessor', cfg.get('data_preprocessor'))
    model = MODELS.build(settings)
    try:
        load_checkpoint(model, checkpoint, map_location='cpu', strict=True)
    except Exception as error:  # whatever the reader of the file raises
        message = ' '.join(str(error).split())[:300]
        raise ConfigError(
            f'the checkpoint {checkpoint} cannot be loaded: {message}'
        ) from error
    return model.to(get_device()).eval()


def _size(cfg: Config, size: Sequence[int] | None) -> tuple[int, int]:
    given = size or (cfg.model.get('backbone') or {}).get('img_size')
    if given is None:
        raise ConfigError(
            'the config does not tell the size of the images (model.backbone.img_size):'
            ' give --size HEIGHT WIDTH'
        )
    height, width = (given, given) if isinstance(given, int) else given
    return int(height), int(width)


def _leaves(cfg: Config, count: int, size: tuple[int, int], seed: int) -> Tensor:
    """Dead leaves with the colours that the model was normalized for, BGR."""
    preprocessor = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor')
    preprocessor = preprocessor or {}
    rgb = preprocessor.get('to_rgb') or preprocessor.get('bgr_to_rgb')
    colors = {
        key: preprocessor[key] if rgb else preprocessor[key][::-1]
        for key in ('mean', 'std')
        if preprocessor.get(key)
    }
    dataset = NoiseImages(count, size, 'dead_leaves', seed=seed, pipeline=[], **colors)
    pixels = (torch.from_numpy(dataset.image(i)) for i in range(count))
    return torch.stack([p.permute(2, 0, 1) for p in pixels])


def _targets(classes: int, count: int, seed: int) -> Tensor:
    """Random classes, none a second time before all were there."""
    generator = torch.Generator().manual_seed(seed)
    rounds = -(-count // classes)
    drawn = [torch.randperm(classes, generator=generator) for _ in range(rounds)]
    return torch.cat(drawn)[:count]


def _refuse_other_files(out: Path) -> None:
    stamped = (out / STAMP).is_file()
    if out.exists() and not stamped and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f'{out} holds something other than synthetic images')


def _write(out: Path, images: Tensor, targets: Tensor, made: dict[str, Any]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    # Built beside and renamed, so that nobody ever sees half of the images.
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f'.{out.name}-') as beside:
        fresh = Path(beside) / 'fresh'
        fresh.mkdir()
        names = [f'{i:05d}.png' for i in range(len(images))]
        for name, image in zip(names, images, strict=True):
            if not cv2.imwrite(str(fresh / name), image.permute(1, 2, 0).numpy()):
                raise OSError(f'could not write {name}')
        labels = zip(names, targets.tolist(), strict=True)
        (fresh / LIST).write_text(''.join(f'{n} {label}\n' for n, label in labels))
        (fresh / STAMP).write_text(json.dumps(made) + '\n')
        if out.exists():
            os.replace(out, Path(beside) / 'stale')
        shutil.move(fresh, out)
