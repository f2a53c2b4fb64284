# The whole demo detector on integers, with weights and activations of 4 bits.
_base_ = './swin_cascade_demo_w4a4.py'
# A list of modules (the heads of the three stages) stands for all of its members.
quantization = dict(
    regions=[
        'backbone', 'neck', 'rpn_head', 'roi_head.bbox_head',
        'roi_head.mask_head'
    ])
