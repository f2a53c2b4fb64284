"""The detectors of ``configs/detectors``, as small as their code permits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from survey_zoo import with_spread_weights
from torch import nn

from iptq_mm.calibration import QuantizationConfig

_FOLDER = Path(__file__).parents[1] / 'configs' / 'detectors'

_SWIN = dict(
    embed_dims=24,
    depths=[1, 1, 1, 1],
    num_heads=[2, 2, 4, 4],
    window_size=4,
    init_cfg=None,
)
_HEAD = dict(in_channels=32, feat_channels=32, num_classes=4)
_FEW = dict(max_per_img=10)


def _attentions(layers: int, **more: Any) -> dict[str, Any]:
    """Encoder or decoder of 32 channels and two heads."""
    heads = dict(embed_dims=32, num_heads=2)
    ffn = dict(embed_dims=32, feedforward_channels=64)
    layer = dict(self_attn_cfg=dict(heads), ffn_cfg=ffn)
    if 'cross' in more:
        layer['cross_attn_cfg'] = {**heads, **more['cross']}
    layer['self_attn_cfg'] |= more.get('own', {})
    return dict(num_layers=layers, layer_cfg=layer)


def _detr(neck: dict[str, Any], **levels: Any) -> dict[str, Any]:
    return dict(
        neck=dict(out_channels=32, **neck),
        num_queries=10,
        encoder=_attentions(1, own=levels),
        decoder=_attentions(2, cross=levels),
        positional_encoding=dict(num_feats=16),
        bbox_head=dict(embed_dims=32, num_classes=4),
        test_cfg=_FEW,
    )


_RESNET = dict(depth=18, base_channels=16)
_GROUPS = dict(norm_cfg=dict(num_groups=4))

#: Config -> what makes its model small.
SMALLER: dict[str, dict[str, Any]] = {
    'retinanet_pvt-t': dict(
        backbone=dict(embed_dims=16, num_layers=[1, 1, 1, 1], num_heads=[1, 2, 2, 2]),
        neck=dict(in_channels=[16, 32, 32, 32], out_channels=32),
        bbox_head=_HEAD,
    ),
    'atss_swin-t': dict(
        backbone=_SWIN,
        neck=dict(in_channels=[48, 96, 192], out_channels=32),
        bbox_head=_HEAD,
    ),
    'rtmdet_tiny': dict(
        backbone=dict(widen_factor=0.125),
        neck=dict(in_channels=[32, 64, 128], out_channels=32),
        bbox_head=_HEAD,
    ),
    'detr_r50': dict(backbone=_RESNET, **_detr(dict(in_channels=[128]))),
    'deformable-detr_r50': dict(
        backbone=_RESNET, **_detr(dict(in_channels=[32, 64, 128], **_GROUPS))
    ),
    'dino_swin-l': dict(
        backbone=_SWIN,
        **_detr(dict(in_channels=[24, 48, 96, 192], **_GROUPS), num_levels=5),
    ),
    'mask2former_swin-t': dict(
        backbone=_SWIN,
        panoptic_head=dict(
            in_channels=[24, 48, 96, 192],
            feat_channels=32,
            out_channels=32,
            num_things_classes=4,
            num_queries=10,
            pixel_decoder=dict(
                **_GROUPS,
                encoder=_attentions(1),
                positional_encoding=dict(num_feats=16),
            ),
            positional_encoding=dict(num_feats=16),
            transformer_decoder=_attentions(3, cross={}),
            loss_cls=dict(class_weight=[1.0] * 4 + [0.1]),
        ),
        panoptic_fusion_head=dict(num_things_classes=4),
        test_cfg=dict(max_per_image=10),
    ),
}


def config_of(name: str) -> Config:
    """The shipped config ``configs/detectors/<name>_w8a8_coco.py``."""
    return Config.fromfile(_FOLDER / f'{name}_w8a8_coco.py')


def settings_of(name: str, candidates: dict[str, Any]) -> QuantizationConfig:
    """Regions and overrides as shipped; ranges and weights by the quickest way.

    Args:
        name: See :func:`config_of`.
        candidates: Functions.
    """
    chosen = config_of(name).quantization
    given = dict(
        regions=chosen.regions,
        overrides=chosen.get('overrides', []),
        criterion=dict(type='sqnr'),
    )
    return QuantizationConfig.from_dict(given, candidates)


def small_detector(name: str) -> nn.Module:
    """The detector of a config, small, with random weights."""
    import mmdet.models  # noqa: F401
    from mmdet.registry import MODELS

    init_default_scope('mmdet')
    cfg = config_of(name)
    cfg.merge_from_dict({'model': SMALLER[name]})
    return with_spread_weights(MODELS.build(cfg.model))


def batch(size: int = 64, count: int = 2, seed: int = 0) -> dict[str, list]:
    """Images of noise as a data loader makes them."""
    from mmdet.structures import DetDataSample

    generator = torch.Generator().manual_seed(seed)
    shape = dict.fromkeys(('img_shape', 'ori_shape', 'pad_shape'), (size, size))
    samples = [
        DetDataSample(
            metainfo=dict(shape, batch_input_shape=(size, size), scale_factor=(1.0, 1))
        )
        for _ in range(count)
    ]
    noise = torch.rand(count, 3, size, size, generator=generator) * 255
    return dict(inputs=list(noise.to(torch.uint8)), data_samples=samples)
