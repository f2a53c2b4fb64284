_base_ = [
    '../../../_base_/float/swin-tiny_in1k.py',
    '../../../_base_/papers/mixed_w6a6.py',
    '../../../_base_/candidates/mixed_literal_swin.py'
]

quantization = dict(
    regions=['backbone', 'neck', 'head'],
    wide=dict(attention=8))
