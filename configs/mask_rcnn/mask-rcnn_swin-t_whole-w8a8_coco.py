# All of mask-rcnn_swin-t_w8a8_coco.py on integers, see
# cascade-mask-rcnn_swin-t_whole-w8a8_coco.py.
_base_ = './mask-rcnn_swin-t_w8a8_coco.py'

quantization = dict(
    regions=[
        'backbone', 'neck', 'rpn_head', 'roi_head.bbox_head',
        'roi_head.mask_head'
    ])
