"""Tiny classifiers and a tiny detector, for tests of whole runs."""

from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

import iptq_mm  # noqa: F401  (before mmpretrain and mmdet)

QUANTIZATION = dict(
    regions=['backbone'],
    calibration=dict(num_images=6, analysis_images=4, batch_size=2),
)
CANDIDATES = dict(
    gelu=[dict(type='i_gelu'), dict(type='table_gelu')],
    softmax=[dict(type='i_softmax'), dict(type='table_softmax')],
    layer_norm=[dict(type='ibert_layernorm'), dict(type='ivit_layernorm')],
)
# A process for DataLoader's workers or a GPU is never wanted here.
RUNTIME = dict(
    custom_imports=dict(imports=['iptq_mm'], allow_failed_imports=False),
    default_hooks=dict(
        timer=dict(type='IterTimerHook'), logger=dict(type='LoggerHook', interval=1)
    ),
    env_cfg=dict(dist_cfg=dict(backend='gloo')),
    randomness=dict(seed=7),
    log_level='INFO',
)


def _classifier(backbone: dict, neck: dict | None, head: dict, data: Path) -> Config:
    pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]

    def loader(split):
        return dict(
            batch_size=4,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=dict(
                type='CustomDataset',
                data_root=str(data),
                data_prefix=split,
                pipeline=pipeline,
            ),
        )

    evaluator = dict(type='Accuracy', topk=(1,))
    return Config(
        dict(
            **RUNTIME,
            default_scope='mmpretrain',
            model=dict(type='ImageClassifier', backbone=backbone, neck=neck, head=head),
            data_preprocessor=dict(
                num_classes=3, mean=[127.5] * 3, std=[64.0] * 3, to_rgb=True
            ),
            train_dataloader=loader('train'),
            val_dataloader=loader('val'),
            test_dataloader=loader('val'),
            train_cfg=dict(by_epoch=True, max_epochs=1, val_interval=1),
            val_cfg=dict(),
            test_cfg=dict(),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=1e-3)),
            val_evaluator=evaluator,
            test_evaluator=evaluator,
            visualizer=dict(
                type='UniversalVisualizer',
                name='of_classes',
                vis_backends=[dict(type='LocalVisBackend')],
            ),
            quantization=QUANTIZATION,
            candidates=CANDIDATES,
        )
    )


def vit(data: Path, dims: int = 128) -> Config:
    """A ViT of two blocks, quantized with its head."""
    cfg = _classifier(
        dict(
            type='VisionTransformer',
            arch=dict(
                embed_dims=dims,
                num_layers=2,
                num_heads=2,
                feedforward_channels=4 * dims,
            ),
            img_size=32,
            patch_size=8,
        ),
        None,
        dict(type='VisionTransformerClsHead', num_classes=3, in_channels=dims),
        data,
    )
    cfg.quantization.regions = ['backbone', 'head']
    return cfg


def swin(data: Path) -> Config:
    """A Swin of two stages, quantized with its neck and head."""
    cfg = _classifier(
        dict(
            type='SwinTransformer',
            arch=dict(embed_dims=16, depths=[2, 2], num_heads=[1, 2]),
            img_size=32,
            patch_size=2,
            window_size=4,
            out_indices=(1,),
        ),
        dict(type='GlobalAveragePooling'),
        dict(type='LinearClsHead', num_classes=3, in_channels=32),
        data,
    )
    cfg.quantization.regions = ['backbone', 'neck', 'head']
    return cfg


def mask_rcnn(data: Path) -> Config:
    """A Mask R-CNN with a Swin of four stages, which is quantized."""
    base = "_base_ = ['mmdet::_base_/models/mask-rcnn_r50_fpn.py']"
    cfg = Config.fromstring(base, '.py')
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(96, 64), keep_ratio=True),
        dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
        dict(
            type='PackDetInputs',
            meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
        ),
    ]

    def loader(split):
        return dict(
            batch_size=1,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=dict(
                type='CocoDataset',
                data_root=str(data),
                metainfo=dict(classes=('red', 'green')),
                ann_file=f'{split}.json',
                data_prefix=dict(img=split),
                test_mode=split == 'val',
                pipeline=pipeline,
            ),
        )

    evaluator = dict(
        type='CocoMetric', ann_file=str(data / 'val.json'), metric=['bbox', 'segm']
    )
    cfg.merge_from_dict(
        dict(
            **RUNTIME,
            default_scope='mmdet',
            model=dict(
                backbone=dict(
                    _delete_=True,
                    type='SwinTransformer',
                    embed_dims=16,
                    depths=(1, 2, 1, 1),
                    num_heads=(1, 2, 2, 4),
                    window_size=4,
                    # Nothing may try to read or fetch it.
                    init_cfg=dict(type='Pretrained', checkpoint='http://invalid/x.pth'),
                ),
                neck=dict(in_channels=[16, 32, 64, 128], out_channels=16),
                rpn_head=dict(in_channels=16, feat_channels=16),
                roi_head=dict(
                    bbox_roi_extractor=dict(out_channels=16),
                    bbox_head=dict(in_channels=16, fc_out_channels=32, num_classes=2),
                    mask_roi_extractor=dict(out_channels=16),
                    mask_head=dict(
                        in_channels=16, conv_out_channels=16, num_classes=2, num_convs=1
                    ),
                ),
                test_cfg=dict(
                    rpn=dict(nms_pre=50, max_per_img=20),
                    rcnn=dict(score_thr=0.01, max_per_img=10),
                ),
            ),
            train_dataloader=loader('train'),
            val_dataloader=loader('val'),
            test_dataloader=loader('val'),
            train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=1),
            val_cfg=dict(type='ValLoop'),
            test_cfg=dict(type='TestLoop'),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=1e-3)),
            val_evaluator=evaluator,
            test_evaluator=evaluator,
            visualizer=dict(type='DetLocalVisualizer', name='of_objects'),
            quantization=dict(
                regions=['backbone'],
                calibration=dict(num_images=3, analysis_images=2, batch_size=1),
            ),
            candidates=CANDIDATES,
        )
    )
    cfg.default_hooks.visualization = dict(type='DetVisualizationHook')
    return cfg


def build(cfg: Config) -> nn.Module:
    """The float model with weights that make each image another matter."""
    from mmengine.registry import MODELS

    init_default_scope(cfg.default_scope)
    model = cfg.model.copy()
    if cfg.get('data_preprocessor'):
        model.setdefault('data_preprocessor', cfg.data_preprocessor)
    generator = torch.Generator().manual_seed(3)
    # What mm initializes is random as well, whatever tests ran before. By a seed of its
    # own: from the same one, both would be the same numbers.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        model = MODELS.build(model)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            if p.ndim > 1 and not name.endswith(('pos_embed', 'cls_token', '_table')):
                p.copy_(noise * p[0].numel() ** -0.5)
            else:
                p.add_(noise * 0.1)
    return model.eval()


def write(cfg: Config, folder: Path, name: str) -> tuple[str, str]:
    """Write config and float checkpoint; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    cfg.load_from = str(folder / f'{name}.pth')
    cfg.dump(folder / f'{name}.py')
    torch.save({'meta': {}, 'state_dict': build(cfg).state_dict()}, cfg.load_from)
    return str(folder / f'{name}.py'), cfg.load_from
