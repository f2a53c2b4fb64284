# A sample of ImageNet in the folder that the environment variable IPTQ_MM_DATA names.
# The images for validation are easier than the whole split: compare with the float
# model on them, never with published accuracies. Other names than those of
# mmpretrain's data sets, so that a config can inherit both.
sample_root = '{{$IPTQ_MM_DATA:../shared}}/data/imagenet'

# The images for calibration have a shorter side of 256, the images for
# validation were stored as 227x227 after that resize. Their centre is 1 pixel
# from the corner, where mmcv rounds 1.5 to 2: two crops make the 0 + 1.
calib_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='ResizeEdge',
        scale=256,
        edge='short',
        backend='pillow',
        interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]
val_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='CenterCrop', crop_size=226),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]

calib_set = dict(
    type='ImageNet',
    data_root=sample_root,
    data_prefix='calib',
    ann_file='calib.txt',
    pipeline=calib_pipeline)
val_set = dict(
    type='ImageNet',
    data_root=sample_root,
    data_prefix='val',
    ann_file='val.txt',
    pipeline=val_pipeline)
