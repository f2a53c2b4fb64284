# Without the method: the published integer constants of I-BERT at every site.
_base_ = './swin_cascade_demo_w8a8.py'
# They get the 8-bit inputs that post-training quantization gave them.
quantization = dict(wide=dict(gelu=8, softmax=8))
candidates = dict(
    gelu=[dict(type='i_gelu', literal=True)],
    softmax=[dict(type='i_softmax', literal=True)],
    layer_norm=[dict(type='ibert_layernorm', literal=True)])
