_base_ = [
    'mmdet::pvt/retinanet_pvt-t_fpn_1x_coco.py',
    '../_base_/quantization/w8a8.py', '../_base_/candidates/tables.py'
]
custom_imports = dict(imports=['iptq_mm'], allow_failed_imports=False)
load_from = 'https://download.openmmlab.com/mmdetection/v2.0/pvt/retinanet_pvt-t_fpn_1x_coco/retinanet_pvt-t_fpn_1x_coco_20210831_103110-17b566bd.pth'  # noqa

model = dict(backbone=dict(init_cfg=None))
quantization = dict(
    regions=['backbone', 'neck', 'bbox_head'],
    calibration=dict(batch_size=1))
