_base_ = [
    '../../../_base_/float/vit-base_in1k.py',
    '../../../_base_/papers/mixed_w8a8.py',
    '../../../_base_/candidates/mixed_literal.py'
]

quantization = dict(regions=['backbone', 'head'])
