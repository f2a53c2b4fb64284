"""Trainings of tiny models."""

import copy
from pathlib import Path
from typing import Any

import tiny_models
import torch
from mmengine.config import Config

from iptq_mm.plan.packed_state import unpacked

#: Ten iterations, augmented, in random order, averaged, with momentum and a schedule.
QAT = dict(
    loss=['labels', 'logits'],
    optim_wrapper=dict(
        optimizer=dict(type='AdamW', lr=0.02),
        constructor='iptq_mm.RelativeLearningRates',
    ),
    train_cfg=dict(by_epoch=True, max_epochs=2, val_interval=1),
    param_scheduler=dict(type='CosineAnnealingLR', by_epoch=False, T_max=10),
    custom_hooks=[dict(type='EMAHook', momentum=0.3)],
    checkpoint=dict(interval=2),
    train_dataloader=dict(
        batch_size=2, sampler=dict(type='DefaultSampler', shuffle=True)
    ),
)


def vit(data: Path, **qat: Any) -> Config:
    """A ViT of 32 channels that is trained by :data:`QAT`, changed by ``qat``."""
    cfg = tiny_models.vit(data, dims=32)
    cfg.qat = {**copy.deepcopy(QAT), **qat}
    cfg.quantization.weight = dict(bits=4)
    cfg.quantization.on_mismatch = 'warn'
    cfg.model.head.loss = dict(
        type='LabelSmoothLoss', label_smooth_val=0.1, mode='original', num_classes=3
    )
    # Of the float training: images are mixed where there are labels.
    cfg.model.train_cfg = dict(augments=dict(type='Mixup', alpha=0.8))
    flip = dict(type='RandomFlip', prob=0.5)
    cfg.train_dataloader.dataset.pipeline.insert(1, flip)
    return cfg


def integers(folder: Path) -> dict[str, torch.Tensor]:
    """The state dict of the integer checkpoint in a work dir, as the model has it."""
    state = torch.load(folder / 'integer.pth', weights_only=True)['state_dict']
    return unpacked(state)


def same_integers(a: Path, b: Path) -> bool:
    """Whether two work dirs hold the same integer model, to the bit."""
    one, other = integers(a), integers(b)
    return one.keys() == other.keys() and all(
        torch.equal(one[key], other[key]) for key in one
    )
