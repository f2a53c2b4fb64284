_base_ = [
    '../../../_base_/float/swin-small_in1k.py',
    '../../../_base_/papers/mixed_w8a8.py',
    '../../../_base_/candidates/mixed_literal_swin.py'
]

quantization = dict(
    regions=['backbone', 'neck', 'head'],
    wide=dict(attention=8))
