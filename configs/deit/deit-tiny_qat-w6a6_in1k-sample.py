# Quantizes, reconstructs and trains: python tools/train.py. The images need no labels.
_base_ = [
    './deit-tiny_w6a6_in1k-sample.py', '../_base_/qat/after_reconstruction.py'
]
