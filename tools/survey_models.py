"""The models of ``tools/survey.py``: name -> (config, shape of the images)."""

from __future__ import annotations

from typing import Any

from survey_convnets import CONVNETS

_SMALL = (2, 3, 64, 64)
_VIT = dict(embed_dims=64, num_layers=2, num_heads=2, feedforward_channels=128)

#: Backbones of mmpretrain, as small as their code permits.
MMPRETRAIN: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    'VisionTransformer': (
        dict(type='VisionTransformer', arch=_VIT, img_size=64, patch_size=16),
        _SMALL,
    ),
    'DistilledVisionTransformer': (
        dict(type='DistilledVisionTransformer', arch=_VIT, img_size=64, patch_size=16),
        _SMALL,
    ),
    'SwinTransformer': (
        dict(
            type='SwinTransformer',
            arch=dict(embed_dims=16, depths=[2, 2], num_heads=[1, 2]),
            img_size=64,
            window_size=4,
            out_indices=(1,),
        ),
        _SMALL,
    ),
    'SwinTransformerV2': (
        dict(
            type='SwinTransformerV2',
            arch=dict(
                embed_dims=24,
                depths=[2, 2],
                num_heads=[2, 4],
                extra_norm_every_n_blocks=0,
            ),
            img_size=64,
            window_size=4,
            out_indices=(1,),
            pretrained_window_sizes=[0, 0],
        ),
        _SMALL,
    ),
    'DeiT3': (dict(type='DeiT3', arch=_VIT, img_size=64, patch_size=16), _SMALL),
    'BEiTViT': (
        dict(type='BEiTViT', arch=_VIT, img_size=64, patch_size=16),
        _SMALL,
    ),
    'SVT': (dict(type='SVT', arch='small'), _SMALL),
    'PCPVT': (dict(type='PCPVT', arch='small'), _SMALL),
    'TinyViT': (
        dict(type='TinyViT', arch='5m', img_size=(64, 64), window_size=(4, 4, 4, 2)),
        _SMALL,
    ),
    'ConvNeXt': (dict(type='ConvNeXt', arch='atto'), _SMALL),
    'ConvNeXt-V2': (
        dict(type='ConvNeXt', arch='atto', layer_scale_init_value=0.0, use_grn=True),
        _SMALL,
    ),
    'MlpMixer': (
        dict(
            type='MlpMixer',
            arch=dict(
                embed_dims=64, num_layers=2, tokens_mlp_dims=32, channels_mlp_dims=128
            ),
            img_size=64,
            patch_size=16,
        ),
        _SMALL,
    ),
    'DaViT': (
        dict(
            type='DaViT',
            arch=dict(embed_dims=16, depths=[1, 1], num_heads=[1, 2]),
            out_indices=(1,),
        ),
        _SMALL,
    ),
    'HiViT': (
        dict(type='HiViT', arch='tiny', out_indices=[11]),
        (2, 3, 224, 224),
    ),
    'T2T_ViT': (
        dict(
            type='T2T_ViT',
            img_size=64,
            embed_dims=64,
            num_layers=2,
            t2t_cfg=dict(token_dims=32),
            layer_cfgs=dict(num_heads=2, feedforward_channels=128),
        ),
        _SMALL,
    ),
    'XCiT': (
        dict(
            type='XCiT',
            img_size=64,
            embed_dims=32,
            depth=2,
            num_heads=2,
            cls_attn_layers=1,
        ),
        _SMALL,
    ),
    'EdgeNeXt': (dict(type='EdgeNeXt', arch='xxsmall'), _SMALL),
    'MViT': (
        dict(
            type='MViT',
            arch=dict(
                embed_dims=32, num_layers=3, num_heads=1, downscale_indices=[1, 2]
            ),
            img_size=64,
        ),
        _SMALL,
    ),
    'ViTSAM': (
        dict(
            type='ViTSAM',
            arch=dict(
                embed_dims=64,
                num_layers=2,
                num_heads=2,
                feedforward_channels=128,
                global_attn_indexes=[1],
            ),
            img_size=64,
            out_channels=32,
            window_size=3,
        ),
        _SMALL,
    ),
    'ViTEVA02': (
        dict(type='ViTEVA02', arch=_VIT, img_size=64, patch_size=16),
        _SMALL,
    ),
    'MobileViT': (dict(type='MobileViT', arch='xx_small'), _SMALL),
    'LeViT': (dict(type='LeViT', arch='128s', img_size=224), (2, 3, 224, 224)),
    'TNT': (
        dict(
            type='TNT',
            arch=dict(
                embed_dims_outer=64,
                embed_dims_inner=24,
                num_layers=2,
                num_heads_outer=2,
                num_heads_inner=2,
            ),
            img_size=64,
        ),
        _SMALL,
    ),
    'HorNet': (
        dict(
            type='HorNet',
            arch=dict(
                base_dim=16,
                depths=[1, 1, 2, 1],
                orders=[2, 3, 4, 5],
                dw_cfg=[dict(type='DW', kernel_size=7)] * 4,
            ),
        ),
        _SMALL,
    ),
    'PoolFormer': (dict(type='PoolFormer', arch='s12'), _SMALL),
    'RIFormer': (dict(type='RIFormer', arch='s12'), _SMALL),
    'EfficientFormer': (
        dict(type='EfficientFormer', arch='l1'),
        (2, 3, 224, 224),
    ),
    'Conformer': (
        dict(
            type='Conformer',
            arch=dict(embed_dims=64, channel_ratio=1, num_heads=2, depths=12),
            base_channels=16,
        ),
        _SMALL,
    ),
    'MixMIMTransformer': (
        dict(
            type='MixMIMTransformer',
            arch=dict(embed_dims=32, depths=[1, 1, 2, 1], num_heads=[1, 2, 4, 8]),
            img_size=64,
            window_size=[4, 4, 4, 2],
        ),
        _SMALL,
    ),
    'RevVisionTransformer': (
        dict(type='RevVisionTransformer', arch=_VIT, img_size=64, patch_size=16),
        _SMALL,
    ),
    'VAN': (dict(type='VAN', arch='tiny'), _SMALL),
    **CONVNETS,
}
