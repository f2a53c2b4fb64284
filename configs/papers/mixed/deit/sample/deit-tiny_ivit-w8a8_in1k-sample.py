# No search: the functions of I-ViT at every site, to compare the mixed ones with.
_base_ = './deit-tiny_mixed-w8a8_in1k-sample.py'
quantization = dict(criterion=dict(_delete_=True, type='sqnr'))
candidates = dict(
    gelu=[dict(type='shift_gelu', literal=True)],
    softmax=[dict(type='shiftmax', literal=True)],
    layer_norm=[dict(type='ivit_layernorm', literal=True)])
