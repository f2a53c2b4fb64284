_base_ = './deit-base_w8a8_in1k.py'
_deprecation_ = dict(
    expected='configs/deit/deit-base_w8a8_in1k.py',
    reference='CHANGELOG.md')
