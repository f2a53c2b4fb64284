# Without the method: the published integer constants of I-ViT at every site.
_base_ = './swin_cascade_demo_iptq-w8a8.py'
candidates = dict(
    gelu=[dict(type='shift_gelu', literal=True)],
    softmax=[dict(type='shiftmax', literal=True)],
    layer_norm=[dict(type='ivit_layernorm', literal=True)])
