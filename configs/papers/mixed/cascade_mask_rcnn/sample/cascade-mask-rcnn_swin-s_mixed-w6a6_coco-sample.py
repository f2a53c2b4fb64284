_base_ = [
    '../../../../_base_/float_sample/cascade-mask-rcnn_swin-s_coco-sample.py',
    '../../../../_base_/papers/mixed_w6a6.py',
    '../../../../_base_/candidates/mixed_literal_swin.py'
]

quantization = dict(
    regions=['backbone'],
    wide=dict(attention=8),
    calibration=dict(num_images=8, batch_size=1))
