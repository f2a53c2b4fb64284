_base_ = './vit_demo_w8a8.py'
_deprecation_ = dict(
    expected='configs/demo/vit_demo_w8a8.py',
    reference='CHANGELOG.md')
