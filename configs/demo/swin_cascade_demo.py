# A small Swin Cascade Mask R-CNN on the demo data (tools/make_demo_data.py).
# The same classes and structure as the published Swin detectors, with fewer
# channels, so that it trains on one CPU core in about an hour. It starts from the
# exported weights of swin_demo.py (see tools/train_demo.py).
_base_ = ['mmdet::_base_/models/cascade-mask-rcnn_r50_fpn.py']
custom_imports = dict(imports=['iptq_mm'], allow_failed_imports=False)
default_scope = 'mmdet'

classes = ('circle', 'square', 'triangle', 'star', 'ring', 'cross')
data_root = 'data/demo/'
max_iters = 3400
warmup_iters = 150

box_head = dict(
    type='Shared2FCBBoxHead',
    in_channels=64,
    fc_out_channels=160,
    roi_feat_size=7,
    num_classes=6,
    reg_class_agnostic=True,
    loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
    loss_bbox=dict(type='SmoothL1Loss', beta=1.0, loss_weight=1.0))
box_coder = dict(type='DeltaXYWHBBoxCoder', target_means=[0.0, 0.0, 0.0, 0.0])
# Fewer samples than usual: an image holds at most eight objects.
rcnn_sampler = dict(
    type='RandomSampler',
    num=24,
    pos_fraction=0.34,
    neg_pos_ub=-1,
    add_gt_as_proposals=True)
rcnn_assigner = dict(
    type='MaxIoUAssigner', match_low_quality=False, ignore_iof_thr=-1)
rcnn_stage = dict(
    sampler=rcnn_sampler, mask_size=28, pos_weight=-1, debug=False)

model = dict(
    data_preprocessor=dict(mean=[127.5] * 3, std=[64.0] * 3),
    backbone=dict(
        _delete_=True,
        type='SwinTransformer',
        embed_dims=32,
        depths=[2, 2, 2, 2],
        num_heads=[2, 4, 8, 16],
        window_size=7,
        mlp_ratio=4,
        qkv_bias=True,
        qk_scale=None,
        drop_rate=0.0,
        attn_drop_rate=0.0,
        drop_path_rate=0.0,
        patch_norm=True,
        out_indices=(0, 1, 2, 3),
        with_cp=False,
        # From a classifier, as published detectors do.
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/swin_demo/swin_demo_fp32.pth')),
    neck=dict(in_channels=[32, 64, 128, 256], out_channels=64),
    rpn_head=dict(
        in_channels=64,
        feat_channels=64,
        # Objects are 12 to 80 pixels: anchors of 16, 32, 64, 128 and 256.
        anchor_generator=dict(scales=[4])),
    roi_head=dict(
        # 56 would send every object of such small images to the first level.
        bbox_roi_extractor=dict(out_channels=64, finest_scale=20),
        bbox_head=[
            dict(
                bbox_coder=dict(target_stds=[0.1, 0.1, 0.2, 0.2], **box_coder),
                **box_head),
            dict(
                bbox_coder=dict(
                    target_stds=[0.05, 0.05, 0.1, 0.1], **box_coder),
                **box_head),
            dict(
                bbox_coder=dict(
                    target_stds=[0.033, 0.033, 0.067, 0.067], **box_coder),
                **box_head),
        ],
        mask_roi_extractor=dict(out_channels=64, finest_scale=20),
        mask_head=dict(
            in_channels=64, conv_out_channels=48, num_classes=6)),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=128)),
        rpn_proposal=dict(nms_pre=300, max_per_img=200),
        rcnn=[
            dict(
                assigner=dict(
                    pos_iou_thr=0.5,
                    neg_iou_thr=0.5,
                    min_pos_iou=0.5,
                    **rcnn_assigner),
                **rcnn_stage),
            dict(
                assigner=dict(
                    pos_iou_thr=0.6,
                    neg_iou_thr=0.6,
                    min_pos_iou=0.6,
                    **rcnn_assigner),
                **rcnn_stage),
            dict(
                assigner=dict(
                    pos_iou_thr=0.7,
                    neg_iou_thr=0.7,
                    min_pos_iou=0.7,
                    **rcnn_assigner),
                **rcnn_stage),
        ]),
    test_cfg=dict(
        rpn=dict(nms_pre=300, max_per_img=200),
        rcnn=dict(max_per_img=50)))

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    # Changes no pixel, but the heads need the scale factor that it notes.
    dict(type='Resize', scale=(160, 160), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                   'scale_factor')),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='CocoDataset',
        data_root=data_root,
        metainfo=dict(classes=classes),
        ann_file='annotations/train.json',
        data_prefix=dict(img='train/'),
        filter_cfg=dict(filter_empty_gt=True, min_size=1),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=8,
    num_workers=0,
    persistent_workers=False,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CocoDataset',
        data_root=data_root,
        metainfo=dict(classes=classes),
        ann_file='annotations/val.json',
        data_prefix=dict(img='val/'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(
    type='CocoMetric',
    ann_file=data_root + 'annotations/val.json',
    metric=['bbox', 'segm'])
test_evaluator = val_evaluator

train_cfg = dict(
    type='IterBasedTrainLoop', max_iters=max_iters, val_interval=400)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='AdamW', lr=1e-3, betas=(0.9, 0.999), weight_decay=0.05),
    clip_grad=dict(max_norm=5.0),
    paramwise_cfg=dict(
        custom_keys={
            'relative_position_bias_table': dict(decay_mult=0.0),
            'norm': dict(decay_mult=0.0)
        }))
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.01,
        by_epoch=False,
        begin=0,
        end=warmup_iters),
    dict(
        type='CosineAnnealingLR',
        by_epoch=False,
        begin=warmup_iters,
        end=max_iters,
        T_max=max_iters - warmup_iters,
        eta_min=1e-6),
]

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=20),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='CheckpointHook', by_epoch=False, interval=100, max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='DetVisualizationHook'))
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='gloo'))
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(
    type='DetLocalVisualizer', vis_backends=vis_backends, name='visualizer')
log_processor = dict(type='LogProcessor', window_size=20, by_epoch=False)
log_level = 'INFO'
load_from = None
resume = False
