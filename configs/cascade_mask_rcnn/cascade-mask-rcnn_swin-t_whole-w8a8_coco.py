# All of cascade-mask-rcnn_swin-t_w8a8_coco.py on integers: backbone, FPN, RPN, box and
# mask heads. Floats are left in RoIAlign, the decoding of boxes, NMS and the scores.
_base_ = './cascade-mask-rcnn_swin-t_w8a8_coco.py'

# A list of modules (the heads of the three stages) stands for all of its members.
quantization = dict(
    regions=[
        'backbone', 'neck', 'rpn_head', 'roi_head.bbox_head',
        'roi_head.mask_head'
    ])
