_base_ = './cascade_mask_rcnn/cascade-mask-rcnn_swin-t_w8a8_coco.py'
_deprecation_ = dict(
    expected='configs/cascade_mask_rcnn/cascade-mask-rcnn_swin-t_w8a8_coco.py',
    reference='CHANGELOG.md')
