# The demo detector with an integer-only backbone, weights and activations of 4 bits.
_base_ = [
    '../swin_cascade_demo.py', '../../_base_/quantization/w4a4.py',
    '../../_base_/candidates/tables.py'
]
load_from = 'demo/swin_cascade_demo.pth'
# The classifier that training started from is not needed any more.
model = dict(backbone=dict(init_cfg=None))
quantization = dict(regions=['backbone'])
