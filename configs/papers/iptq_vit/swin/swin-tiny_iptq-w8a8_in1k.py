_base_ = [
    '../../../_base_/float/swin-tiny_in1k.py',
    '../../../_base_/papers/iptq_w8a8.py',
    '../../../_base_/candidates/iptq_literal_swin.py'
]

quantization = dict(
    regions=['backbone', 'neck', 'head'],
    wide=dict(attention=8))
