_base_ = [
    '../../../_base_/float/deit-base_in1k.py',
    '../../../_base_/papers/iptq_w6a6.py',
    '../../../_base_/candidates/iptq_literal.py'
]

quantization = dict(regions=['backbone', 'head'])
