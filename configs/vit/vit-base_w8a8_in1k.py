_base_ = [
    '../_base_/float/vit-base_in1k.py', '../_base_/quantization/w8a8_guarded.py',
    '../_base_/candidates/tables.py'
]

quantization = dict(regions=['backbone', 'head'])
