_base_ = './mask_rcnn/mask-rcnn_swin-t_w8a8_coco-sample.py'
_deprecation_ = dict(
    expected='configs/mask_rcnn/mask-rcnn_swin-t_w8a8_coco-sample.py',
    reference='CHANGELOG.md')
