_base_ = [
    '../../../_base_/float/cascade-mask-rcnn_swin-s_coco.py',
    '../../../_base_/papers/mixed_w8a8.py',
    '../../../_base_/candidates/mixed_literal_swin.py'
]

quantization = dict(
    regions=['backbone'],
    wide=dict(attention=8),
    calibration=dict(batch_size=1))
