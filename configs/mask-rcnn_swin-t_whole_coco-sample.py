# All of the detector of mask-rcnn_swin-t_coco-sample.py on integers.
_base_ = './mask-rcnn_swin-t_coco-sample.py'

quantization = dict(
    regions=[
        'backbone', 'neck', 'rpn_head', 'roi_head.bbox_head',
        'roi_head.mask_head'
    ])

# See swin_cascade_whole_coco-sample.py.
model = dict(test_cfg=dict(rcnn=dict(score_thr=0.0)))
