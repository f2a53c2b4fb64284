# No search: the functions of I-BERT at every site.
candidates = dict(
    gelu=[dict(type='i_gelu')],
    softmax=[dict(type='i_softmax')],
    layer_norm=[dict(type='ibert_layernorm')])
