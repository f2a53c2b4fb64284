"""From a config and a checkpoint to a folder of images for its calibration."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.runner import load_checkpoint
from torch import Tensor, nn

from ...calibration import ConfigError
from ...datasets.synthetic import NoiseImages
from ...version import __version__
from ..loading.models import check_checkpoint, new_model, read_config
from .folder import ImageFolder
from .optimization import optimize_images
from .responses import Responses


def make_calibration_images(
    config: str | os.PathLike,
    checkpoint: str | None = None,
    *,
    out: str | os.PathLike,
    num_images: int = 32,
    steps: int = 100,
    start: str = 'dead_leaves',
    size: Sequence[int] | None = None,
    batch_size: int = 8,
    seed: int = 0,
    cfg_options: dict[str, Any] | None = None,
) -> Path:
    """Write images that stand for the training set of a model.

    They are sampled with the mean and standard deviation of the config's
    ``data_preprocessor`` and then optimized by the model itself, see
    :func:`~iptq_mm.engine.synthetic.optimization.optimize_images`. The folder holds
    PNG files and their list ``images.json``; ``configs/_base_/calibration`` has the
    dataset that reads them. An interrupted run leaves whole batches; the same call
    makes the others, and the folder is then as if nothing had happened.

    Args:
        config: Config file of a classifier of mmpretrain or a detector of mmdet.
        checkpoint: Float checkpoint; None: ``load_from`` of the config.
        out: Folder to write. Images that other arguments made are replaced.
        num_images: How many images.
        steps: Steps of optimization; 0 leaves the sampled images as they are.
        start: What is sampled: ``'dead_leaves'``, or white ``'noise'`` as in PSAQ-ViT.
        size: Height and width; None: ``img_size`` of the config's backbone.
        batch_size: Images that are optimized together.
        seed: Decides about images, classes, shifts and flips.
        cfg_options: Overrides, by dotted key.

    Returns:
        ``out``.

    Raises:
        ConfigError: If the model cannot answer to images or does not fit its
            checkpoint.
        FileExistsError: If ``out`` holds something else.
        FileNotFoundError: If config or checkpoint are missing.
    """
    if num_images < 1 or steps < 0 or batch_size < 1:
        raise ConfigError(
            f'{num_images} images, {steps} steps, batches of {batch_size}: use at '
            'least 1, 0 and 1'
        )
    cfg = read_config(config, checkpoint, cfg_options)
    height, width = _size(cfg, size)
    folder = ImageFolder(out)
    model = _load(cfg)
    sampled = _sampled(cfg, num_images, (height, width), start, seed)
    classes = _classes(model, _pixels(sampled, [0]))
    targets = _targets(classes or 1, num_images, seed)
    done = folder.open(
        config=Path(config).name,
        version=__version__,
        model=_digest(cfg, model),
        num_images=num_images,
        size=[height, width],
        start=start,
        steps=steps,
        batch_size=batch_size,
        seed=seed,
    )
    for first in range(done, num_images, batch_size):
        batch = range(first, min(first + batch_size, num_images))
        aims = targets[batch.start : batch.stop]
        # Of this batch alone, so that it is the same after an interruption.
        rng = np.random.default_rng([seed, first])
        images = optimize_images(model, _pixels(sampled, batch), aims, rng, steps=steps)
        folder.add(images, aims.tolist() if classes else None)
        print_log(f'made {batch.stop} of {num_images} images')
    return folder.path


def _load(cfg: Config) -> nn.Module:
    """The float model on the device that mmengine would choose."""
    if not cfg.get('model'):
        raise ConfigError('the config has no model')
    check_checkpoint(cfg)
    model = new_model(cfg, 'mmpretrain')
    try:
        load_checkpoint(model, cfg.load_from, map_location='cpu', strict=True)
    except Exception as error:  # whatever the reader of the file raises
        message = ' '.join(str(error).split())[:300]
        raise ConfigError(
            f'the checkpoint {cfg.load_from} cannot be loaded: {message}'
        ) from error
    return model.to(get_device()).eval()


def _digest(cfg: Config, model: nn.Module) -> str:
    """Of what the model is, wherever its files lie."""
    settings = repr([cfg.model, cfg.get('data_preprocessor')])
    digest = hashlib.sha256(settings.encode())
    for name, value in model.state_dict().items():
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().view(-1).numpy().tobytes())
    return digest.hexdigest()[:16]


def _classes(model: nn.Module, images: Tensor) -> int | None:
    """How many classes of images the model knows; detectors know none."""
    with torch.no_grad():
        logits, _ = Responses(model)(images.to(get_device(), torch.float32))
    return None if logits is None else logits.shape[1]


def _size(cfg: Config, size: Sequence[int] | None) -> tuple[int, int]:
    backbone = (cfg.get('model') or {}).get('backbone') or {}
    given = size or backbone.get('img_size')
    if given is None:
        raise ConfigError(
            'the config does not tell the size of the images (model.backbone.img_size):'
            ' give --size HEIGHT WIDTH'
        )
    height, width = (given, given) if isinstance(given, int) else given
    return int(height), int(width)


def _sampled(
    cfg: Config, count: int, size: tuple[int, int], kind: str, seed: int
) -> NoiseImages:
    """Images with the colours that the model was normalized for."""
    preprocessor = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor')
    preprocessor = preprocessor or {}
    rgb = preprocessor.get('to_rgb') or preprocessor.get('bgr_to_rgb')
    colors = {
        key: preprocessor[key] if rgb else preprocessor[key][::-1]
        for key in ('mean', 'std')
        if preprocessor.get(key)
    }
    alpha = 0.0 if kind == 'noise' else 1.0
    return NoiseImages(count, size, kind, alpha=alpha, seed=seed, **colors)


def _pixels(dataset: NoiseImages, indices: Sequence[int]) -> Tensor:
    """(N, 3, H, W) uint8, BGR."""
    images = [torch.from_numpy(dataset.image(i)).permute(2, 0, 1) for i in indices]
    return torch.stack(images)


def _targets(classes: int, count: int, seed: int) -> Tensor:
    """Random classes, none a second time before all were there."""
    generator = torch.Generator().manual_seed(seed)
    rounds = -(-count // classes)
    drawn = [torch.randperm(classes, generator=generator) for _ in range(rounds)]
    return torch.cat(drawn)[:count]
