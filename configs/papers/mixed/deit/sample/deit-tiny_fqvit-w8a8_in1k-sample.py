# No search: the functions of FQ-ViT at every site, to compare the mixed ones with.
# Its GELU is a float one: I-ViT's stands in.
_base_ = './deit-tiny_mixed-w8a8_in1k-sample.py'
quantization = dict(criterion=dict(_delete_=True, type='sqnr'))
candidates = dict(
    gelu=[dict(type='shift_gelu', literal=True)],
    softmax=[dict(type='log_int_softmax', literal=True)],
    layer_norm=[dict(type='fqvit_layernorm', literal=True)])
