# All of the detector of mask-rcnn_swin-t_w8a8_coco-sample.py on integers.
_base_ = './mask-rcnn_swin-t_w8a8_coco-sample.py'

quantization = dict(
    regions=[
        'backbone', 'neck', 'rpn_head', 'roi_head.bbox_head',
        'roi_head.mask_head'
    ])

# See cascade-mask-rcnn_swin-t_whole-w8a8_coco-sample.py.
model = dict(test_cfg=dict(rcnn=dict(score_thr=0.0)))
