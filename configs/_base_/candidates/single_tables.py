# No search: tables at every site. A LayerNorm has no table; I-BERT's stands in.
candidates = dict(
    gelu=[dict(type='table_gelu')],
    softmax=[dict(type='table_softmax')],
    layer_norm=[dict(type='ibert_layernorm')])
