# As cascade-mask-rcnn_swin-t_coco-sample.py, with Swin-S.
_base_ = './cascade-mask-rcnn_swin-t_coco-sample.py'

model = dict(backbone=dict(depths=[2, 2, 18, 2]))
