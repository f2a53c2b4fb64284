# All of the detector of cascade-mask-rcnn_swin-t_w8a8_coco-sample.py on integers.
_base_ = './cascade-mask-rcnn_swin-t_w8a8_coco-sample.py'

quantization = dict(
    regions=[
        'backbone', 'neck', 'rpn_head', 'roi_head.bbox_head',
        'roi_head.mask_head'
    ])

# With random weights no class is likely, and the mask heads run where something is
# detected only. Take this line out with a trained checkpoint.
model = dict(test_cfg=dict(rcnn=dict(score_thr=0.0)))
