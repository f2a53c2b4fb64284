"""The networks that are measured: built from their configs, with random weights."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import load_checkpoint
from torch import Tensor, nn

from iptq_mm.calibration import QuantizationConfig
from iptq_mm.datasets.synthetic import NoiseImages
from iptq_mm.engine.quantize.model import Quantization, quantize_model

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'

#: Speed does not depend on what calibration sees.
CALIBRATION = dict(num_images=4, analysis_images=2, batch_size=1)
#: What the presets choose at most sites of the trained DeiT-Tiny.
FUNCTIONS = dict(
    gelu=[dict(type='interpolated_gelu')],
    softmax=[dict(type='table_softmax')],
    layer_norm=[dict(type='ivit_layernorm')],
)
#: Height and width of a calibration image for networks that take any.
CALIBRATION_SIZE = (224, 320)
_PACKERS = {'mmpretrain': 'PackInputs', 'mmdet': 'PackDetInputs'}


@dataclass(frozen=True)
class Network:
    """A model of a config, or a part of it.

    Attributes:
        config: Path of the config.
        size: Height and width of its images, unless a case says otherwise.
        part: Name of the sub-module that is measured alone; None: the whole model.
        trained: Whether weights come from the checkpoint of the config, if it is a
            file, and functions are chosen among the candidates there. Otherwise
            weights are random, for which others would be chosen than in use.
    """

    config: Path
    size: tuple[int, int]
    part: str | None = None
    trained: bool = False


CASCADE = CONFIGS / 'cascade_mask_rcnn/cascade-mask-rcnn_swin-t_w8a8_coco.py'
DEMO = CONFIGS / 'demo/swin_cascade_demo_w8a8.py'
#: By the name they have on the command line.
NETWORKS = {
    'deit_t': Network(CONFIGS / 'deit/deit-tiny_w8a8_in1k.py', (224, 224)),
    'deit_s': Network(CONFIGS / 'deit/deit-small_w8a8_in1k.py', (224, 224)),
    'swin_t': Network(CONFIGS / 'swin/swin-tiny_w8a8_in1k.py', (224, 224)),
    'swin_t_backbone': Network(CASCADE, (800, 1216), 'backbone'),
    'swin_demo_backbone': Network(DEMO, (800, 1216), 'backbone'),
    'swin_t_cascade': Network(CASCADE, (800, 1216)),
}


class Part(nn.Module):
    """One part of a model behind the normalization of its images."""

    def __init__(self, name: str, part: nn.Module, data_preprocessor: nn.Module):
        super().__init__()
        self.add_module(name, part)
        self.data_preprocessor = data_preprocessor
        self._name = name

    def forward(self, images: Tensor) -> Any:
        """What the part makes of normalized images."""
        return self.get_submodule(self._name)(images)

    def test_step(self, batch: dict) -> Any:
        """The same for a batch of pixels."""
        return self(self.data_preprocessor(batch, False)['inputs'])


def load_config(network: Network, size: tuple[int, int]) -> Config:
    """The config, for images of a size, quantizing what is measured.

    Raises:
        FileNotFoundError: If there is no such config.
        ValueError: If it is for neither mmpretrain nor mmdet.
    """
    if not network.config.is_file():
        raise FileNotFoundError(f'there is no config {network.config}')
    cfg = Config.fromfile(network.config)
    if cfg.get('default_scope') not in _PACKERS:
        raise ValueError(f'{network.config}: default_scope is none of {[*_PACKERS]}')
    cfg.model.train_cfg = None
    if cfg.get('data_preprocessor'):
        cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
    if 'img_size' in cfg.model.backbone:
        cfg.model.backbone.img_size = size
    if network.part:
        cfg.quantization.regions = [network.part]
        if 'pad_size_divisor' in cfg.model.data_preprocessor:
            cfg.model.data_preprocessor.pad_size_divisor = 1  # the size is as asked for
    if not network.trained:
        cfg.candidates = FUNCTIONS
        cfg.load_from = None
    return cfg


def build(cfg: Config, part: str | None = None) -> nn.Module:
    """The float model in eval mode: with weights of a file, or random ones."""
    init_default_scope(cfg.default_scope)
    if part is None:
        model = MODELS.build(cfg.model)
    else:
        preprocessor = MODELS.build(cfg.model.data_preprocessor)
        model = Part(part, MODELS.build(cfg.model[part]), preprocessor)
    if cfg.load_from and Path(cfg.load_from).is_file():
        load_checkpoint(model, cfg.load_from, 'cpu', strict=True, logger='silent')
    else:
        randomize(model)
    model.eval()  # mm's own returns None
    return model


def randomize(module: nn.Module, seed: int = 0, gain: float = 1.5) -> None:
    """Random weights that keep attention from being flat and images apart.

    Fresh models answer nearly the same to all images: errors of quantization would
    look larger than they are, and ranges narrower.

    Args:
        module: Its parameters are changed in place.
        seed: Decides about all of them.
        gain: Standard deviation of a layer's outputs for inputs of unit variance.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in module.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            last = name.rpartition('.')[2]
            if 'table' in last or 'embed' in last or 'token' in last:
                p.copy_(0.5 * noise)
            elif p.ndim > 1:
                p.copy_(noise * gain / p[0].numel() ** 0.5)
            else:
                p.copy_(0.2 * noise + (1 if last == 'weight' else 0))


def random_batch(
    cfg: Config, size: tuple[int, int], count: int, seed: int = 0
) -> dict[str, list]:
    """A batch of noise with the spectrum of photographs, as a data loader gives it."""
    packer = _PACKERS[cfg.default_scope]
    images = NoiseImages(
        num_images=count,
        size=size,
        kind='noise',
        seed=seed,
        pipeline=[dict(type=f'{cfg.default_scope}.{packer}')],
    )
    return pseudo_collate([images[i] for i in range(count)])


def quantized(
    model: nn.Module, cfg: Config, size: tuple[int, int]
) -> tuple[nn.Module, Quantization]:
    """A copy of a float model on integers, and how it was quantized.

    The settings are those of the config but for what costs time and changes no speed:
    few images, weights to the nearest.
    """
    settings = copy.deepcopy(cfg.quantization)
    settings.calibration = CALIBRATION
    settings.setdefault('activation', {}).update(guard_images=0)
    settings.setdefault('weight', {}).update(rounding=dict(type='nearest'))
    config = QuantizationConfig.from_dict(settings, cfg.candidates)
    if 'img_size' not in cfg.model.backbone:
        size = CALIBRATION_SIZE
    count = config.calibration.num_images
    batches = [random_batch(cfg, size, 1, seed) for seed in range(1, count + 1)]
    integers = copy.deepcopy(model)
    return integers, quantize_model(integers, config, batches)
