# DeiT-Tiny in float on a sample of ImageNet that lies, with the weights, in the
# folder that the environment variable IPTQ_MM_DATA names. The images for
# validation are easier than the whole split: compare with the float model on
# them, never with published accuracies.
_base_ = 'mmpretrain::deit/deit-tiny_4xb256_in1k.py'
custom_imports = dict(imports=['iptq_mm'], allow_failed_imports=False)

data_root = '{{$IPTQ_MM_DATA:../shared}}/data/imagenet'
load_from = '{{$IPTQ_MM_DATA:../shared}}/weights/deit-tiny_in1k.pth'

# The images for calibration have a shorter side of 256, the images for
# validation were stored as 227x227 after that resize. Their centre is 1 pixel
# from the corner, where mmcv rounds 1.5 to 2: two crops make the 0 + 1.
train_pipeline = [
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
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='CenterCrop', crop_size=226),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]

train_dataloader = dict(
    batch_size=8,
    num_workers=2,
    dataset=dict(
        _delete_=True,
        type='ImageNet',
        data_root=data_root,
        data_prefix='calib',
        ann_file='calib.txt',
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=50,
    num_workers=2,
    dataset=dict(
        _delete_=True,
        type='ImageNet',
        data_root=data_root,
        data_prefix='val',
        ann_file='val.txt',
        pipeline=test_pipeline))
test_dataloader = val_dataloader
