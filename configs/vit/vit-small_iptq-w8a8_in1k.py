_base_ = './vit-small_w8a8_in1k.py'
_deprecation_ = dict(
    expected='configs/vit/vit-small_w8a8_in1k.py',
    reference='CHANGELOG.md')
