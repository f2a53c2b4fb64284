"""The parts of mmdet's detectors behind the backbone, tiny."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.registry import init_default_scope
from region_models import spread
from torch import Tensor, nn

import iptq_mm  # noqa: F401  (before mmdet)

LOSSES = dict(
    loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
    loss_bbox=dict(type='SmoothL1Loss', beta=1.0, loss_weight=1.0),
)


def fpn(**options: Any) -> nn.Module:
    """Levels of 4, 8 and 8 channels to 6 channels on four levels."""
    from mmdet.models import FPN

    init_default_scope('mmdet')
    given = dict(in_channels=[4, 8, 8], out_channels=6, num_outs=4)
    return spread(FPN(**{**given, **options}))


def rpn() -> nn.Module:
    from mmdet.models import RPNHead

    init_default_scope('mmdet')
    anchors = dict(type='AnchorGenerator', scales=[8], ratios=[1.0], strides=[4, 8])
    coder = dict(type='DeltaXYWHBBoxCoder')
    head = RPNHead(
        in_channels=6, feat_channels=5, anchor_generator=anchors, bbox_coder=coder
    )
    return spread(head)


def bbox_head(kind: str = 'Shared4Conv1FCBBoxHead', **options: Any) -> nn.Module:
    from mmdet.registry import MODELS

    init_default_scope('mmdet')
    head = dict(
        type=kind,
        in_channels=6,
        fc_out_channels=10,
        roi_feat_size=3,
        num_classes=2,
        bbox_coder=dict(type='DeltaXYWHBBoxCoder'),
        **LOSSES,
    )
    if 'Conv' in kind:
        head['conv_out_channels'] = 5
    return spread(MODELS.build({**head, **options}))


def mask_head(**options: Any) -> nn.Module:
    from mmdet.models import FCNMaskHead

    init_default_scope('mmdet')
    given = dict(num_convs=2, in_channels=6, conv_out_channels=5, num_classes=2)
    return spread(FCNMaskHead(**{**given, **options}))


def normed(module: nn.Module, seed: int = 1) -> nn.Module:
    """Batch norms that have seen something."""
    generator = torch.Generator().manual_seed(seed)
    for m in module.modules():
        if isinstance(m, nn.modules.batchnorm._BatchNorm):
            m.running_mean.normal_(generator=generator)
            m.running_var.uniform_(0.5, 2.0, generator=generator)
    return module


class Beside(nn.Module):
    """A part, and the least of a transformer, without which there is no calibration."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part, self.norm = part, nn.LayerNorm(4)

    def forward(self, *args: Any) -> Any:
        first = args[0] if isinstance(args[0], Tensor) else args[0][0]
        return self.part(*args), self.norm(first.flatten(1)[:, :4])


def levels(*sizes: tuple[int, int], channels: Any = 6, batch: int = 1, seed: int = 0):
    """Feature maps."""
    generator = torch.Generator().manual_seed(seed)
    channels = channels if isinstance(channels, list) else [channels] * len(sizes)
    return [
        torch.randn(batch, c, *size, generator=generator)
        for c, size in zip(channels, sizes, strict=True)
    ]


def pyramid(batch: int = 1, seed: int = 0) -> list[Tensor]:
    """What :func:`fpn` takes; no size is twice the next one."""
    return levels((11, 14), (6, 7), (3, 4), channels=[4, 8, 8], batch=batch, seed=seed)


def boxes(count: int, size: int = 3, seed: int = 0) -> Tensor:
    """What the heads of the second stage take."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 6, size, size, generator=generator)
