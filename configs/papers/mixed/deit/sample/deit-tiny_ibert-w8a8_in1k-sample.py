# No search: the functions of I-BERT at every site, to compare the mixed ones with.
_base_ = './deit-tiny_mixed-w8a8_in1k-sample.py'
quantization = dict(criterion=dict(_delete_=True, type='sqnr'))
candidates = dict(
    gelu=[dict(type='i_gelu', literal=True)],
    softmax=[dict(type='i_softmax', literal=True)],
    layer_norm=[dict(type='ibert_layernorm', literal=True)])
