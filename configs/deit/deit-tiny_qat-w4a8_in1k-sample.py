# Quantizes and trains: python tools/train.py. The images need no labels.
_base_ = [
    './deit-tiny_w4a8_in1k-sample.py', '../_base_/qat/one_epoch.py'
]

# Training of the whole model takes its place.
quantization = dict(reconstruction=dict(epochs=0))
