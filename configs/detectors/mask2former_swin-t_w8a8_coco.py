_base_ = [
    'mmdet::mask2former/mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco.py',
    '../_base_/quantization/w8a8.py', '../_base_/candidates/tables.py'
]
custom_imports = dict(imports=['iptq_mm'], allow_failed_imports=False)
load_from = 'https://download.openmmlab.com/mmdetection/v3.0/mask2former/mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco/mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco_20220508_091649-01b0f990.pth'  # noqa

model = dict(backbone=dict(init_cfg=None))
# See deformable-detr_r50_w8a8_coco.py. Masks that the head predicts hide what cross
# attention sees: they are computed from floats, and this attention stays float, too.
quantization = dict(
    regions=[
        'backbone', 'panoptic_head.pixel_decoder.input_convs',
        'panoptic_head.pixel_decoder.encoder.layers',
        'panoptic_head.pixel_decoder.lateral_convs',
        'panoptic_head.pixel_decoder.output_convs',
        'panoptic_head.pixel_decoder.mask_feature',
        'panoptic_head.transformer_decoder.layers',
        'panoptic_head.cls_embed', 'panoptic_head.mask_embed'
    ],
    overrides=[
        dict(where='MultiScaleDeformableAttention', keep_float=True),
        dict(where=r'.*transformer_decoder.*\.cross_attn', keep_float=True)
    ],
    calibration=dict(batch_size=1))
