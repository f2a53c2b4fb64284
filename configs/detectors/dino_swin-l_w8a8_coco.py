_base_ = [
    'mmdet::dino/dino-5scale_swin-l_8xb2-12e_coco.py',
    '../_base_/quantization/w8a8.py', '../_base_/candidates/tables.py'
]
custom_imports = dict(imports=['iptq_mm'], allow_failed_imports=False)
load_from = 'https://download.openmmlab.com/mmdetection/v3.0/dino/dino-5scale_swin-l_8xb2-12e_coco/dino-5scale_swin-l_8xb2-12e_coco_20230228_072924-a654145f.pth'  # noqa

model = dict(backbone=dict(init_cfg=None))
# See deformable-detr_r50_w8a8_coco.py. The decoder calls branches of the head by
# themselves: each is a region.
quantization = dict(
    regions=[
        'backbone', 'neck', 'encoder.layers', 'decoder.layers',
        'bbox_head.cls_branches', 'bbox_head.reg_branches'
    ],
    overrides=[dict(where='MultiScaleDeformableAttention', keep_float=True)],
    calibration=dict(batch_size=1))
