# The demo detector with an integer-only backbone, 4-bit weights, 8-bit activations.
_base_ = [
    './swin_cascade_demo.py', '../_base_/quantization/w4a8.py',
    '../_base_/candidates/tables.py'
]
load_from = 'demo/swin_cascade_demo.pth'
# The classifier that training started from is not needed any more.
model = dict(backbone=dict(init_cfg=None))
# On 300 training images that calibrate nothing, 500 images gain 0.1 and 0.2 AP.
quantization = dict(regions=['backbone'], calibration=dict(num_images=128))
