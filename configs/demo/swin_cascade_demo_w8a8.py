# The demo detector with an integer-only backbone, 8-bit weights and activations.
_base_ = [
    './swin_cascade_demo.py', '../_base_/quantization/w8a8.py',
    '../_base_/candidates/tables.py'
]
load_from = 'demo/swin_cascade_demo.pth'
# The classifier that training started from is not needed any more.
model = dict(backbone=dict(init_cfg=None))
# On 300 training images that calibrate nothing, 32 images do as well as 128.
quantization = dict(regions=['backbone'], calibration=dict(num_images=32))
