# The demo classifier, all of it integer-only, 8-bit weights and activations.
_base_ = [
    './swin_demo.py', '../_base_/quantization/w8a8.py',
    '../_base_/candidates/tables.py'
]
load_from = 'demo/swin_demo.pth'
quantization = dict(regions=['backbone', 'neck', 'head'])
