_base_ = [
    '../../../_base_/float/deit-small_in1k.py',
    '../../../_base_/papers/iptq_w4a8.py',
    '../../../_base_/candidates/iptq_literal.py'
]

quantization = dict(regions=['backbone', 'head'])
