# The whole demo detector on integers, with weights and activations of 4 bits.
_base_ = [
    '../swin_cascade_demo.py', '../../_base_/quantization/w4a4.py',
    '../../_base_/candidates/tables.py'
]
load_from = 'demo/swin_cascade_demo.pth'
# The classifier that training started from is not needed any more.
model = dict(backbone=dict(init_cfg=None))
# A list of modules (the heads of the three stages) stands for all of its members.
quantization = dict(
    regions=[
        'backbone', 'neck', 'rpn_head', 'roi_head.bbox_head',
        'roi_head.mask_head'
    ])
