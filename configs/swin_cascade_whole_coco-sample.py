_base_ = './cascade_mask_rcnn/cascade-mask-rcnn_swin-t_whole-w8a8_coco-sample.py'
_deprecation_ = dict(
    expected='configs/cascade_mask_rcnn/cascade-mask-rcnn_swin-t_whole-w8a8_coco-sample.py',  # noqa
    reference='CHANGELOG.md')
