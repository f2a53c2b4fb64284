_base_ = [
    '../_base_/float/mask-rcnn_swin-s_coco.py',
    '../_base_/quantization/w8a8.py', '../_base_/candidates/tables.py'
]

# See cascade-mask-rcnn_swin-t_w8a8_coco.py.
quantization = dict(
    regions=['backbone'],
    calibration=dict(batch_size=1))
