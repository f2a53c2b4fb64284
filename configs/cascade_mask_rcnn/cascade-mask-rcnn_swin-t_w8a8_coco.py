_base_ = [
    '../_base_/float/cascade-mask-rcnn_swin-t_coco.py',
    '../_base_/quantization/w8a8.py', '../_base_/candidates/tables.py'
]

# One image at a time: images of a batch are padded to a common size, and the
# padding would count in the ranges.
quantization = dict(
    regions=['backbone'],
    calibration=dict(batch_size=1))
