_base_ = './swin_demo_w8a8.py'
_deprecation_ = dict(
    expected='configs/demo/swin_demo_w8a8.py',
    reference='CHANGELOG.md')
