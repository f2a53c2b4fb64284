_base_ = './swin-small_w8a8_in1k.py'
_deprecation_ = dict(
    expected='configs/swin/swin-small_w8a8_in1k.py',
    reference='CHANGELOG.md')
