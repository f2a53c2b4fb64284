_base_ = './deit-tiny_w8a8_in1k.py'
_deprecation_ = dict(
    expected='configs/deit/deit-tiny_w8a8_in1k.py',
    reference='CHANGELOG.md')
