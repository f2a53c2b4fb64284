_base_ = './swin-tiny_w8a8_in1k.py'
_deprecation_ = dict(
    expected='configs/swin/swin-tiny_w8a8_in1k.py',
    reference='CHANGELOG.md')
