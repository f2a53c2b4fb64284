_base_ = './vit-base_w8a8_in1k.py'
_deprecation_ = dict(
    expected='configs/vit/vit-base_w8a8_in1k.py',
    reference='CHANGELOG.md')
