_base_ = [
    'mmdet::deformable_detr/deformable-detr_r50_16xb2-50e_coco.py',
    '../_base_/quantization/w8a8.py', '../_base_/candidates/tables.py'
]
custom_imports = dict(imports=['iptq_mm'], allow_failed_imports=False)
load_from = 'https://download.openmmlab.com/mmdetection/v3.0/deformable_detr/deformable-detr_r50_16xb2-50e_coco/deformable-detr_r50_16xb2-50e_coco_20221029_210934-6bc7d21b.pth'  # noqa

model = dict(backbone=dict(init_cfg=None))
# Encoder and decoder compute places in the image, and are no regions; their layers are.
# Sampling at these places stays float.
quantization = dict(
    regions=['backbone', 'neck', 'encoder.layers', 'decoder.layers', 'bbox_head'],
    overrides=[dict(where='MultiScaleDeformableAttention', keep_float=True)],
    calibration=dict(batch_size=1))
