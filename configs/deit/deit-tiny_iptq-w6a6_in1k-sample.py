_base_ = './deit-tiny_w6a6_in1k-sample.py'
_deprecation_ = dict(
    expected='configs/deit/deit-tiny_w6a6_in1k-sample.py',
    reference='CHANGELOG.md')
