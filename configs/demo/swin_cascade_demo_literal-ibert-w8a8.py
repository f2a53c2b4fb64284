# Without the method: the published integer constants of I-BERT at every site.
_base_ = './swin_cascade_demo_iptq-w8a8.py'
candidates = dict(
    gelu=[dict(type='i_gelu', literal=True)],
    softmax=[dict(type='i_softmax', literal=True)],
    layer_norm=[dict(type='ibert_layernorm', literal=True)])
