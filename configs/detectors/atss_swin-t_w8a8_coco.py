_base_ = [
    'mmdet::atss/atss_r50_fpn_1x_coco.py',
    '../_base_/quantization/w8a8.py', '../_base_/candidates/tables.py'
]
custom_imports = dict(imports=['iptq_mm'], allow_failed_imports=False)

# mmdet has no weights of ATSS with Swin: train it, and give --checkpoint.
model = dict(
    backbone=dict(
        _delete_=True, type='SwinTransformer', embed_dims=96,
        depths=[2, 2, 6, 2], num_heads=[3, 6, 12, 24], window_size=7,
        drop_path_rate=0.2, out_indices=(1, 2, 3)),
    neck=dict(in_channels=[192, 384, 768], start_level=0))
quantization = dict(
    regions=['backbone', 'neck', 'bbox_head'],
    calibration=dict(batch_size=1))
