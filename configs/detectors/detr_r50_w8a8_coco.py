_base_ = [
    'mmdet::detr/detr_r50_8xb2-150e_coco.py',
    '../_base_/quantization/w8a8.py', '../_base_/candidates/tables.py'
]
custom_imports = dict(imports=['iptq_mm'], allow_failed_imports=False)
load_from = 'https://download.openmmlab.com/mmdetection/v3.0/detr/detr_r50_8xb2-150e_coco/detr_r50_8xb2-150e_coco_20221023_153551-436d03e8.pth'  # noqa

model = dict(backbone=dict(init_cfg=None))
quantization = dict(
    regions=['backbone', 'neck', 'encoder', 'decoder', 'bbox_head'],
    calibration=dict(batch_size=1))
